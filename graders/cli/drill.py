"""`kubeproof drill`: one scenario or experiment as the grader acts it out, as evidence of a learner's own."""

from pathlib import Path
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.cli.providers import ProviderOption
from graders.cli.screen import Screen
from graders.course import load_course


def drill(
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    submission: Annotated[Path, typer.Argument(help="Folder with a submission.yaml.")],
    scenario: Annotated[
        str, typer.Option(help="What is to happen; the lab text names the scenarios.", show_default=False)
    ] = "",
    experiment: Annotated[
        str, typer.Option(help="Or the id of an experiment in submission.yaml.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write. [default: SCENARIO.json or ID.journal.json in its evidence/]",
            show_default=False,
        ),
    ] = None,
    provider: ProviderOption = None,
) -> None:
    """Act out one scenario or experiment on a cluster of its own, and leave what was measured as evidence.

    Nothing is judged. It is the grader's own track, so a drill shows what a grading would.

    Example: kubeproof drill 3 my-lab --scenario control-plane-loss

    Example: kubeproof drill 3 my-lab --experiment pod-kill
    """
    from graders.clusters.registry import default_provider  # noqa: PLC0415  (--help should not wait for it)
    from graders.drilling import DrillRequest, run_drill  # noqa: PLC0415

    found = load_course().find_lab(lab)
    console = Screen(stderr=True)
    with TerminalProgress(console) as progress:
        name = f"{experiment}.journal.json" if experiment else f"{scenario}.json"
        file = out or submission / "evidence" / name
        chosen = provider or default_provider(found.shown)
        asked = DrillRequest(found, submission, file, scenario, experiment, chosen)
        run_drill(asked, progress)
    console.tell(f"written: {file}")
