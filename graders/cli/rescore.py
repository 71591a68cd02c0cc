"""`kubeproof rescore`: an instructor changes a rubric, and sees who gains and loses what."""

import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen
from graders.cli.storing import LabsOption, StoreArgument, YesOption, expect_an_answer, said, whoever_types
from graders.reports.text import points_text
from graders.rescoring.changes import Change
from graders.rescoring.rescore import Rescored
from graders.store import NewGrade, StoredGrade


def rescore(  # noqa: PLR0917  (a command line has as many options as it has)
    store: StoreArgument,
    lab: LabsOption = None,
    yes: YesOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why, for the history; else it says what changed.", show_default=False)
    ] = "",
    author: Annotated[
        str, typer.Option(help="Who, for the history; else this user.", show_default=False)
    ] = "",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Bundles judged side by side; else one for each core.")
    ] = None,
) -> None:
    """Judge the stored bundles again with the checks and the rubric of today; no cluster is started.

    Where only the rubric changed, nothing is judged again: stored outcomes earn other points. Who gains and
    loses what, and why, is shown before anything is written, and then all of it is written or nothing.
    An override stays. A bundle that was changed after it was stored is refused: its grade is UNGRADED.

    Ends with 3 while a grade of these labs is UNGRADED.

    Example: kubeproof rescore class.db --lab 1 --reason "retries weighed too much"
    """
    from graders.course import load_course  # noqa: PLC0415  (--help should not wait for it)
    from graders.rescoring import rescore as rescore_store  # noqa: PLC0415
    from graders.store import open_store  # noqa: PLC0415

    who = said(author, "--author") if author else whoever_types()
    why = said(reason, "--reason") if reason else ""
    if not dry_run:
        expect_an_answer(yes=yes)
    console = Screen()
    with (
        TerminalProgress(Screen(stderr=True)) as progress,
        open_store(store, create=False, progress=progress) as opened,
    ):
        found = rescore_store(
            opened, load_course(), progress, labs=lab or (), at_once=jobs or os.cpu_count() or 1
        )
    _show(found, console)
    written = False
    if found.changes and not dry_run and (yes or typer.confirm("Write this?", default=False, err=True)):
        with open_store(store, create=False) as opened:
            found.write(opened, author=who, reason=why)
        written = True
    console.tell(_ending(found, written=written))
    raise typer.Exit(3 if found.ungraded else 0)


def _show(found: Rescored, console: Screen) -> None:
    if found.moving:
        table = Table(title="Who gains and loses what")
        for name in ("learner", "lab"):
            table.add_column(name, no_wrap=True)
        for name in ("before", "after", "", "result"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("why")
        for change in found.moving:
            table.add_row(*map(Text, _row(change)))
        console.print(table)
    for grade in found.to_grade:
        told = f"{grade.learner_id}, {grade.lab}: no record is kept to judge; grade it again: {grade.problem}"
        console.tell(told)


def _row(change: Change) -> tuple[str, ...]:
    before, after = change.before, change.after
    difference = change.difference
    return (
        before.learner_id,
        before.lab,
        _points(before),
        _points(after),
        f"{difference.normalize():+f}" if difference else "",
        _results(change),
        "\n".join(change.why),
    )


def _points(grade: NewGrade | StoredGrade) -> str:
    if grade.total is None:
        return grade.verdict.value
    return f"{points_text(grade.total)}/{points_text(grade.possible)}"


def _results(change: Change) -> str:
    """The learner's result in the lab, after late policy and overrides, if it is one with points."""
    told = []
    for result in (change.result_before, change.result_after):
        if result is not None:
            told.append(points_text(result.points) if result.points is not None else result.state.value)
    return " → ".join(dict.fromkeys(told))


def _ending(found: Rescored, *, written: bool) -> str:
    gains = [each for each in found.moving if each.difference and each.difference > 0]
    loses = [each for each in found.moving if each.difference and each.difference < 0]
    parts = [
        f"{found.scored} scored again from stored outcomes" if found.scored else "",
        f"{found.judged} judged again" if found.judged else "",
        f"{found.up_to_date} up to date" if found.up_to_date else "",
        f"{len(gains)} gain, {len(loses)} lose, {len(found.changes) - len(found.moving)} keep their points",
        f"{found.ungraded} UNGRADED" if found.ungraded else "",
        f"{len(found.to_grade)} to be graded again" if found.to_grade else "",
    ]
    done = "written" if written else "nothing was written"
    return f"{'; '.join(part for part in parts if part)}: {done}"
