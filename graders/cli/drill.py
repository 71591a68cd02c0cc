"""`kubeproof drill`: one scenario of a lab as the grader acts it out, as evidence of a learner's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.cli.providers import ProviderOption
from graders.cli.screen import Screen


def drill(
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    submission: Annotated[Path, typer.Argument(help="Folder with a submission.yaml.")],
    scenario: Annotated[str, typer.Option(help="What is to happen; the lab text names the scenarios.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write. [default: evidence/SCENARIO.json in the submission]", show_default=False
        ),
    ] = None,
    provider: ProviderOption = None,
) -> None:
    """Act out one scenario on a cluster of its own, and leave what was measured as evidence.

    Nothing is judged. It is the grader's own track, so a drill shows what a grading would.

    Example: kubeproof drill 3 my-lab --scenario control-plane-loss
    """
    from graders.clusters.registry import default_provider  # noqa: PLC0415  (--help should not wait for it)
    from graders.drilling import DrillRequest, run_drill  # noqa: PLC0415

    console = Screen(stderr=True)
    with TerminalProgress(console) as progress:
        file = out or submission / "evidence" / f"{scenario}.json"
        run_drill(DrillRequest(lab, submission, scenario, file, provider or default_provider()), progress)
    console.print(f"written: {file}", markup=False, highlight=False, soft_wrap=True)
