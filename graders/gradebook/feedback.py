"""What a grade says to its learner in plain text: points, each line that changed them, each loss."""

from collections.abc import Iterator

from graders.gradebook.cells import points_cell
from graders.gradebook.model import Adjustment, CriterionGrade, GradeState, LabGrade, Loss
from graders.model import Status
from graders.reports.text import clean, one_line

STATES = {
    GradeState.UNGRADED: "Not graded yet. Something failed that is not yours; staff will grade again.",
    GradeState.REJECTED: "What was handed in cannot be graded as it is.",
    GradeState.EXCUSED: "Excused: this lab does not count for you.",
    GradeState.MISSING: "Nothing was handed in.",
}
"""What learners read where there are no points."""


def feedback(grade: LabGrade) -> str:
    """The grade in plain text; the report's own text where it has one."""
    return clean(grade.report, 30_000) if grade.report else "\n".join(_lines(grade))


def _lines(grade: LabGrade) -> Iterator[str]:
    if grade.points is None:
        yield STATES[grade.state]
    else:
        yield f"{points_cell(grade.points)} of {points_cell(grade.possible)} points"
    if grade.problem:
        yield one_line(grade.problem, 500)
    yield from (adjustment_text(one) for one in grade.adjustments)
    for criterion in grade.criteria:
        if criterion.earned != criterion.points and criterion.status is not Status.UNSUPPORTED:
            yield f"{one_line(criterion.title)}: {earned_text(criterion)}"
            yield from (f"  {line}" for line in reasons(grade, criterion))


def adjustment_text(one: Adjustment) -> str:
    """An adjustment as a line: what changed, by how much, why and who says so."""
    author = f" ({one_line(one.author, 80)})" if one.author else ""
    return f"{one.kind.value}: {signed(one)} points: {one_line(one.reason, 500)}{author}"


def signed(one: Adjustment) -> str:
    """What an adjustment added, with its sign."""
    return f"{one.change:+f}"


def earned_text(criterion: CriterionGrade) -> str:
    """What a criterion earned of what it could."""
    earned = "not graded" if criterion.earned is None else points_cell(criterion.earned)
    return f"{earned} of {points_cell(criterion.points)}"


def losses_of(grade: LabGrade, criterion: CriterionGrade) -> tuple[Loss, ...]:
    """Why a criterion did not earn everything."""
    return tuple(loss for loss in grade.losses if criterion.id in loss.criteria)


def reasons(grade: LabGrade, criterion: CriterionGrade) -> Iterator[str]:
    """The same in lines of text."""
    for loss in losses_of(grade, criterion):
        for label, text in (("expected", loss.expected), ("seen", loss.observed), ("next step", loss.hint)):
            if text:
                yield f"{label}: {one_line(text, 500)}"
