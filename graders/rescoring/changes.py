"""Who gains and loses what by a rescore, and why: from two reports of one attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from graders.cohort.final import Final
from graders.model import Verdict
from graders.reports.text import one_line, points_text
from graders.store import NewGrade, StoredGrade

Report = Mapping[str, Any]


@dataclass(frozen=True)
class CriterionChange:
    """A criterion that earns otherwise than before; None where it was not, or is not, scored."""

    id: str
    before: Decimal | None
    after: Decimal | None
    why: str

    def __str__(self) -> str:
        difference = (self.after or Decimal(0)) - (self.before or Decimal(0))
        sign = "+" if difference > 0 else "−" if difference < 0 else "±"
        return f"{sign}{points_text(abs(difference))} {self.id}: {self.why}"


@dataclass(frozen=True)
class Change:
    """What becomes of one attempt, and of the learner's result in the lab."""

    before: StoredGrade
    after: NewGrade
    criteria: tuple[CriterionChange, ...]
    result_before: Final | None = None
    result_after: Final | None = None

    @property
    def moves(self) -> bool:
        """Whether points, what is possible or the verdict become others."""
        was, now = self.before, self.after
        return (was.total, was.possible, was.verdict) != (now.total, now.possible, now.verdict)

    @property
    def difference(self) -> Decimal | None:
        """What the attempt gains; None where one of the two has no points."""
        if self.before.total is None or self.after.total is None:
            return None
        return self.after.total - self.before.total

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons, one line each."""
        told = [str(each) for each in self.criteria]
        if self.after.verdict is Verdict.UNGRADED:
            told = [f"ungraded: {one_line(self.after.problem, 300)}"]
        elif self.before.verdict is Verdict.UNGRADED:
            told = ["could be judged this time", *told]
        elif not told and self.before.possible != self.after.possible:
            told = [f"out of {points_text(self.after.possible)}, was {points_text(self.before.possible)}"]
        if self.result_after is not None and self.result_after.overridden:
            told.append(self.result_after.lines[-1].text)
        return tuple(told)


def criteria_changed(before: Report, after: Report) -> tuple[CriterionChange, ...]:
    """The criteria that earn otherwise, in the order of the new report, then those that are gone."""
    was = {one["id"]: one for one in before["criteria"] if not one["planned"]}
    now = {one["id"]: one for one in after["criteria"] if not one["planned"]}
    outcomes = [{one["check"]: one for one in report["outcomes"]} for report in (before, after)]
    found = []
    for name in dict.fromkeys((*now, *was)):
        old, new = was.get(name), now.get(name)
        earned = [_decimal(one["earned"]) if one else None for one in (old, new)]
        if earned[0] != earned[1]:
            found.append(CriterionChange(name, earned[0], earned[1], _why(old, new, *outcomes)))
    return tuple(found)


def _why(old: Report | None, new: Report | None, seen_before: Report, seen_now: Report) -> str:
    if old is None:
        return "a criterion that was not counted before"
    if new is None:
        return "the criterion is not counted any more"
    if old["status"] != new["status"]:
        said = f"{new['status']}, was {old['status']}"
        lost = new if new["status"] != "passed" else old
        seen = seen_now if lost is new else seen_before
        observed = next(
            (
                seen[check]["observed"]
                for check in lost["checks"]
                if check in seen and seen[check]["observed"]
            ),
            "",
        )
        return f"{said} ({one_line(observed, 160)})" if observed else said
    return f"worth {points_text(_decimal(new['points']))}, was {points_text(_decimal(old['points']))}"


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
