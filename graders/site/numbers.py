"""A class's grades for a lab in a few numbers."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from graders.gradebook.model import GradeState, LabGrade


@dataclass(frozen=True)
class Numbers:
    """Percentages of those who have a grade; the statistics are None where there are none (or too few)."""

    states: tuple[tuple[GradeState, int], ...]
    percents: tuple[float, ...]
    median: float | None
    mean: float | None
    deviation: float | None
    full: int
    late: int
    overridden: int


def numbers_of(grades: Sequence[LabGrade]) -> Numbers:
    """The numbers of one lab; lateness and overrides are in the percentages."""
    counts = Counter(grade.state for grade in grades)
    percents = tuple(percent for grade in grades if (percent := percent_of(grade)) is not None)
    kinds = [{one.kind.value for one in grade.adjustments} for grade in grades]
    return Numbers(
        states=tuple((state, counts[state]) for state in GradeState),
        percents=percents,
        median=statistics.median(percents) if percents else None,
        mean=statistics.fmean(percents) if percents else None,
        deviation=statistics.stdev(percents) if len(percents) > 1 else None,
        full=sum(percent >= 100 for percent in percents),
        late=sum("late" in each for each in kinds),
        overridden=sum("override" in each for each in kinds),
    )


def percent_of(grade: LabGrade) -> float | None:
    """A grade in per cent of what was possible; None where there is no grade or nothing was possible."""
    if grade.points is None or not grade.possible:
        return None
    return float(100 * grade.points / grade.possible)
