"""`kubeproof override`: a person decides a result, and says so."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from graders.cli.screen import Screen
from graders.cli.storing import StoreArgument, find_learner, said
from graders.course import Lab, load_course
from graders.faults import UsageError
from graders.reports.text import points_text
from graders.store import GradeStore, open_store

_DECIMALS = 6


def override(  # noqa: PLR0917  (a command line has as many options as it has)
    store: StoreArgument,
    learner: Annotated[str, typer.Argument(help="The learner_id, as in the roster.")],
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    author: Annotated[str, typer.Option(help="Who decides.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    points: Annotated[
        str | None,
        typer.Option(help="The result, of what the lab's rubric makes possible.", show_default=False),
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Take an earlier override back.")] = False,
) -> None:
    """Set the result of a learner in a lab; it survives every rescore, and every view says so.

    The points are the result itself: no late penalty comes on top. Evidence and report stay as they are.

    Example: kubeproof override class.db ada 1 --points 87.5 --author "E. Noether" --reason "appeal 12"
    """
    if (points is None) == (not lift):
        raise UsageError("an override either sets points or is lifted", fix="give --points, or --lift")
    who, why = said(author, "--author"), said(reason, "--reason")
    found = load_course().find_lab(lab)
    with open_store(store, create=False) as opened:
        whose = find_learner(opened, learner).learner_id
        before = opened.final(whose, found.id)
        given = _points(points) if points is not None else None
        possible = _possible(opened, whose, found)
        opened.override(whose, found.id, given, possible=possible, author=who, reason=why)
        after = opened.final(whose, found.id)
    was, now = (
        f"{points_text(each.points)} of {points_text(each.possible)}"
        if each.points is not None
        else each.state.value
        for each in (before, after)
    )
    console = Screen()
    console.tell(f"{whose}, {found.id}: {now}, was {was}")
    for line in after.lines:
        console.tell(f"  {line.text}")


def _points(text: str) -> Decimal:
    try:
        points = Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"--points {text!r} is no number", fix="write one such as 87.5") from error
    exponent = points.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_DECIMALS:
        raise UsageError(
            f"--points {text!r} has more than {_DECIMALS} decimals", fix="write one such as 87.5"
        )
    return points


def _possible(store: GradeStore, learner: str, lab: Lab) -> Decimal:
    """What could be earned: in the learner's own grading, else by the rubric."""
    latest = store.latest(learner, lab.id)
    if latest is not None and latest.possible is not None:
        return latest.possible
    return sum((one.points for one in lab.rubric.criteria if not one.planned), Decimal(0))
