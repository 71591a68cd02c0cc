"""`kubeproof enrol` and `kubeproof history`: who is in a class, and what happened to their grades."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen
from graders.cli.storing import LabsOption, StoreArgument, find_learner, whoever_types
from graders.cohort.policy import load_policy
from graders.cohort.roster import load_roster
from graders.course import load_course
from graders.faults import UsageError
from graders.reports.text import points_text
from graders.store import HistoryEntry, open_store


def enrol(
    store: StoreArgument,
    roster: Annotated[Path | None, typer.Option(help="The class: a roster.csv.", show_default=False)] = None,
    policy: Annotated[
        Path | None, typer.Option(help="The rules of the course: a course.yaml.", show_default=False)
    ] = None,
) -> None:
    """Take the class and the rules of the course into a store; one that is not there is made.

    Results follow at once: an extension that is granted later takes back a penalty. Nothing is graded.

    Example: kubeproof enrol class.db --roster roster.csv --policy course.yaml
    """
    if roster is None and policy is None:
        raise UsageError("nothing is given to take in", fix="give --roster, --policy or both")
    labs = load_course().slugs
    people = load_roster(roster, labs=labs) if roster else None
    rules = load_policy(policy, labs=labs, roster=people) if policy else None
    with (
        TerminalProgress(Screen(stderr=True)) as progress,
        open_store(store, progress=progress) as opened,
    ):
        opened.take_in(people, rules, author=whoever_types())
        count, dated = len(opened.roster().learners), opened.policy().labs
    due = ", ".join(f"{slug} due {lab.due:%Y-%m-%d %H:%M %Z}" for slug, lab in dated.items() if lab.due)
    Screen().tell(f"{count} learners; {due or 'no lab is ever late'}")


def history(
    store: StoreArgument,
    learner: Annotated[str, typer.Argument(help="Only of this learner.", show_default=False)] = "",
    lab: LabsOption = None,
) -> None:
    """Show what happened to grades: who changed what, when and why.

    Example: kubeproof history class.db ada
    """
    with open_store(store, create=False) as opened:
        whose = find_learner(opened, learner).learner_id if learner else ""
        entries = opened.history(learner_id=whose)
    course = load_course()
    slugs = [course.find_lab(each).id for each in lab or ()]
    table = Table()
    for name in ("when (UTC)", "learner", "lab", "what", "points", "by", "why"):
        table.add_column(name, no_wrap=name not in ("by", "why"))
    for entry in entries:
        if not slugs or entry.lab in slugs:
            table.add_row(*map(Text, _row(entry)))
    Screen().print(table)


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    after = points_text(entry.after) if entry.after is not None or not entry.verdict else entry.verdict.value
    points = after if entry.before is None else f"{points_text(entry.before)} → {after}"
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}",
        entry.learner_id,
        entry.lab,
        entry.event.value,
        points,
        entry.author,
        entry.reason,
    )
