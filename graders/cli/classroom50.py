"""`kubeproof classroom50`: a bundle for an assignment of Classroom 50, and the result that it leaves."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from graders.cli.screen import Screen
from graders.course import load_course
from graders.faults import UsageError
from graders.github.bundling import write_bundle
from graders.github.classroom50 import assignment_of, result_of
from graders.github.inputs import PROVIDERS
from graders.reports import load_report
from graders.wholefile import write_whole

classroom50_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Grade where Classroom 50 does; see docs/github.md.",
)


@classroom50_app.command()
def bundle(
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    folder: Annotated[
        Path, typer.Argument(help="CLASSROOM/autograders/ASSIGNMENT in your classroom50 repository.")
    ],
    submission: Annotated[str, typer.Option(help="The submission's folder in a learner's repository.")] = ".",
    provider: Annotated[str, typer.Option(help="What makes clusters.")] = "embedded",
) -> None:
    """Write the bundle for an assignment: autograder.py, its settings, and kubeproof without any solution.

    Example: kubeproof classroom50 bundle 1 classroom50/k8s-2026/autograders/first
    """
    if provider not in PROVIDERS:
        raise UsageError(
            f"provider {provider!r} cannot be used there", fix=f"choose from {', '.join(PROVIDERS)}"
        )
    if Path(submission).is_absolute() or ".." in Path(submission).parts:
        raise UsageError(f"--submission {submission} leads out of the repository", fix="name a folder in it")
    course = load_course()
    found = course.find_lab(lab)
    made = write_bundle(
        folder, lab=found.id, course=course.repository, submission=submission, provider=provider
    )
    size = sum(path.stat().st_size for path in made.parent.iterdir())
    Screen(stderr=True).tell(f"bundle: {made.parent} ({size / 1e6:.1f} MB); commit and push it")


@classroom50_app.command()
def result(
    out: Annotated[Path, typer.Argument(help="The folder that `kubeproof grade --out` wrote.")],
    lab: Annotated[str, typer.Option(help="The lab that was graded.")],
    to: Annotated[Path, typer.Option(help="Where the result goes.")] = Path("result.json"),
) -> None:
    """Write result.json from a report; what the bundle's autograder.py calls.

    Ends with 3, and writes nothing, when the report is not graded.
    """
    rubric = load_course().find_lab(lab).rubric
    possible = sum((one.points for one in rubric.criteria if not one.planned), Decimal(0))
    assignment = assignment_of(os.environ, to.absolute().parent)
    document = result_of(
        load_report(out / "report.json"), assignment, possible=possible, now=datetime.now(UTC)
    )
    write_whole(to, json.dumps(document, indent=2) + "\n", mode=0o600)
