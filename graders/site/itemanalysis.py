"""Item analysis: how hard each criterion is, and whether it tells those who do well from those who do not.

Difficulty is the *p-value* of classical test theory, the mean share of a criterion's points that was earned.
Discrimination is the correlation of a criterion with the rest of the score, the corrected item-total (a
point-biserial where a criterion is all or nothing): with the criterion itself in the total it would correlate
with itself (Henrysson 1963). Reliability is Cronbach's alpha (1951). Grades alone count, before lateness.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from graders.gradebook.model import CriterionGrade, GradeState, LabGrade
from graders.model import Status

HARD, EASY = 0.25, 0.95
WEAK = 0.15
FEWEST = 10
"""Grades below which neither a discrimination nor an alpha is worth telling."""


@dataclass(frozen=True)
class Item:
    """One criterion over a class; `discrimination` is None where nothing varies or too few were graded."""

    id: str
    title: str
    group: str
    points: Decimal
    graded: int
    full: int
    difficulty: float
    discrimination: float | None

    @property
    def remark(self) -> str:
        """What an author should know of it; empty where it does its work."""
        if self.discrimination is not None and self.discrimination < 0:
            return "those who do well lose it: look for a mistake in the check or the lab text"
        if self.difficulty >= EASY:
            return "nearly everybody earns it"
        if self.difficulty <= HARD:
            return "hardly anybody earns it: is it taught, and does the lab text ask for it?"
        if self.discrimination is not None and self.discrimination < WEAK:
            return "tells little about who does well"
        return ""


@dataclass(frozen=True)
class Analysis:
    """All criteria of a lab in the rubric's order; `alpha` is None where it says nothing."""

    items: tuple[Item, ...]
    alpha: float | None


def analyse(grades: Iterable[LabGrade]) -> Analysis:
    """Analyse the criteria of a lab over those who have a grade."""
    rows = [_earned(grade) for grade in grades if grade.state is GradeState.GRADED and grade.criteria]
    first: dict[str, CriterionGrade] = {}
    for row in rows:
        for name, one in row.items():
            first.setdefault(name, one)
    items = tuple(_item(one, rows) for one in first.values())
    return Analysis(items, _alpha(list(first), rows))


def _earned(grade: LabGrade) -> dict[str, CriterionGrade]:
    """What counted for this learner: neither what could not be shown nor what earns nothing."""
    return {
        one.id: one
        for one in grade.criteria
        if one.earned is not None and one.points > 0 and one.status is not Status.UNSUPPORTED
    }


def _item(one: CriterionGrade, rows: Sequence[Mapping[str, CriterionGrade]]) -> Item:
    shares, rests = [], []
    for row in rows:
        if (mine := row.get(one.id)) is not None:
            shares.append(_share(mine))
            rests.append(float(sum(_points(each) for each in row.values()) - _points(mine)))
    return Item(
        id=one.id,
        title=one.title,
        group=one.group,
        points=one.points,
        graded=len(shares),
        full=sum(share == 1 for share in shares),
        difficulty=statistics.fmean(shares),
        discrimination=_correlation(shares, rests),
    )


def _points(one: CriterionGrade) -> Decimal:
    return one.earned if one.earned is not None else Decimal(0)


def _share(one: CriterionGrade) -> float:
    return float(_points(one) / one.points)


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    if len(xs) < FEWEST or len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    return statistics.correlation(xs, ys)


def _alpha(names: Sequence[str], rows: Sequence[Mapping[str, CriterionGrade]]) -> float | None:
    """Over those for whom every criterion counted."""
    whole = [row for row in rows if len(row) == len(names)]
    if len(whole) < FEWEST or len(names) < 2:
        return None
    totals = [float(sum(_points(one) for one in row.values())) for row in whole]
    variance = statistics.variance(totals)
    if not variance:
        return None
    parts = sum(statistics.variance([float(_points(row[name])) for row in whole]) for name in names)
    return len(names) / (len(names) - 1) * (1 - parts / variance)
