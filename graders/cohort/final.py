"""From attempts and the rules of a course to one result for each lab: pure, in exact decimals.

What evidence earned stays as it is; whatever the course makes of it is a line of its own.

====================  ====================================================================================
an override           is the result, whatever else there is; no late days are used
excused               no points, and nothing is owed
an attempt UNGRADED   no points yet, where it could still decide the result
all are REJECTED      no points; a rejected attempt counts for nothing beside one that was graded
late                  late days of the bank first, as many as help; a penalty for the days that are left
====================  ====================================================================================

The bank is spent in the order of the learner's own due dates.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from graders.cohort.instants import days_late
from graders.cohort.policy import CoursePolicy
from graders.cohort.roster import Learner
from graders.model import Verdict

NOTHING = Decimal(0)


@dataclass(frozen=True)
class LabAttempt:
    """One hand-in and what it earned; `total` is None unless GRADED. `name` tells attempts apart."""

    name: str
    verdict: Verdict
    total: Decimal | None
    possible: Decimal | None
    submitted_at: datetime | None = None


@dataclass(frozen=True)
class Override:
    """What a person says a result is; `possible` is what could have been earned."""

    points: Decimal
    possible: Decimal
    author: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class LabWork:
    """What a learner did for a lab, in the order of handing in, and what a person said of it."""

    attempts: tuple[LabAttempt, ...] = ()
    override: Override | None = None


class FinalState(StrEnum):
    """What can be said of a learner and a lab."""

    GRADED = "graded"
    UNGRADED = "ungraded"
    REJECTED = "rejected"
    MISSING = "missing"
    EXCUSED = "excused"


class LineKind(StrEnum):
    """What a line of a result tells."""

    RAW = "raw"
    ATTEMPT = "attempt"
    EXTENSION = "extension"
    LATE_DAYS = "late-days"
    LATE_PENALTY = "late-penalty"
    OVERRIDE = "override"
    EXCUSED = "excused"
    NOTE = "note"


@dataclass(frozen=True)
class Line:
    """One step from what was earned to the result; `points` is what it adds, None where it adds nothing."""

    kind: LineKind
    text: str
    points: Decimal | None = None


@dataclass(frozen=True)
class Final:
    """The result of a learner and a lab; where there are points, those of `lines` add up to them.

    `raw` is what evidence earned, before the course made anything of it. `attempt` is the name of the one
    that counts.
    """

    learner_id: str
    lab: str
    state: FinalState
    points: Decimal | None
    possible: Decimal | None
    lines: tuple[Line, ...] = ()
    raw: Decimal | None = None
    attempt: str = ""
    days_late: int = 0
    late_days_used: int = 0
    overridden: bool = False

    @property
    def percent(self) -> Decimal | None:
        """Points over possible in per cent, to two places; None where there are none."""
        if self.points is None or not self.possible:
            return None
        return (100 * self.points / self.possible).quantize(Decimal("0.01"), ROUND_HALF_UP)


def finals(
    learner: Learner, work: Mapping[str, LabWork], policy: CoursePolicy, labs: Iterable[str] = ()
) -> dict[str, Final]:
    """The results of one learner in all labs of `work`, of the policy and of `labs`, by lab."""
    slugs = sorted({*work, *policy.labs, *labs})
    dated = {slug: policy.due(slug, learner) for slug in slugs}
    order = sorted(slugs, key=lambda slug: (dated[slug] is None, _stamp(dated[slug]), slug))
    bank = policy.bank(learner)
    found: dict[str, Final] = {}
    for slug in order:
        found[slug] = _Lab(learner, slug, policy, dated[slug], bank).final(work.get(slug, LabWork()))
        bank -= found[slug].late_days_used
    return {slug: found[slug] for slug in slugs}


def points_of(value: Decimal) -> str:
    """Points as people write them, without zeros at the end."""
    return f"{value.normalize():f}" if value else "0"


def _stamp(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


@dataclass(frozen=True)
class _Lab:
    """One lab of one learner, with as many late days as are left."""

    learner: Learner
    slug: str
    policy: CoursePolicy
    due: datetime | None
    bank: int

    def final(self, work: LabWork) -> Final:
        if work.override is not None:
            return self._overridden(work, work.override)
        if self.slug in self.learner.excused:
            return self._without_points(FinalState.EXCUSED, Line(LineKind.EXCUSED, "excused, by the roster"))
        return self._decided(work.attempts)

    def _decided(self, attempts: tuple[LabAttempt, ...]) -> Final:
        if not attempts:
            return self._without_points(FinalState.MISSING, Line(LineKind.NOTE, "nothing was handed in"))
        graded = [one for one in attempts if one.verdict is Verdict.GRADED]
        open_ = [one for one in attempts if one.verdict is Verdict.UNGRADED]
        last = self.policy.lab(self.slug).attempts == "last"
        valid = [one for one in attempts if one.verdict is not Verdict.REJECTED]
        if not valid:
            told = "what was handed in was rejected: its report says why"
            return self._without_points(FinalState.REJECTED, Line(LineKind.NOTE, told))
        if last:
            candidates, waiting = valid[-1:], valid[-1:] if valid[-1] in open_ else []
        else:
            candidates, waiting = graded, open_
        results = [self._late(one) for one in candidates if one.verdict is Verdict.GRADED]
        best = max(results, key=_merit) if results else None
        if waiting and (best is None or best.points != best.possible):
            told = f"{len(waiting)} of {len(attempts)} attempts not graded yet"
            if best is not None and best.points is not None and best.possible is not None:
                told += f"; so far {points_of(best.points)} of {points_of(best.possible)}"
            return self._without_points(FinalState.UNGRADED, Line(LineKind.NOTE, told))
        assert best is not None
        if len(attempts) == 1:
            return best
        place = [one.name for one in attempts].index(best.attempt) + 1
        which = "the last" if last else "the best"
        told = f"attempt {place} of {len(attempts)} counts: {which} that could be graded"
        return _with_first(best, Line(LineKind.ATTEMPT, told))

    def _late(self, attempt: LabAttempt) -> Final:
        """The result if this attempt counts."""
        assert attempt.total is not None
        assert attempt.possible is not None
        late, raw = self.policy.late, attempt.total
        lines = [Line(LineKind.RAW, f"earned {points_of(raw)} of {points_of(attempt.possible)}", raw)]
        if (granted := self.learner.extensions.get(self.slug)) and self.due:
            lines.append(Line(LineKind.EXTENSION, f"due {self.due:%Y-%m-%d %H:%M %Z}, extended by {granted}"))
        days = 0
        if self.due and attempt.submitted_at:
            days = days_late(attempt.submitted_at, self.due, late.grace)
        elif self.due:
            lines.append(Line(LineKind.NOTE, "nobody knows when it was handed in: taken as in time"))
        base = attempt.possible if late.of == "possible" else raw

        def penalty(used: int) -> Decimal:
            percent = min(late.per_day * (days - used), late.at_most)
            return min(raw, base * percent / 100)

        used = min(range(min(days, self.bank) + 1), key=lambda count: (penalty(count), count))
        lost = penalty(used)
        if used:
            told = f"{_days(used)} of the bank used, of {self.bank} that were left"
            lines.append(Line(LineKind.LATE_DAYS, told))
        if days > used:
            rate = f"{points_of(late.per_day)} % of what is {late.of} for each"
            told = f"{_days(days - used)}: {rate}"
            if late.per_day * (days - used) > late.at_most:
                told += f", at most {points_of(late.at_most)} %"
            lines.append(Line(LineKind.LATE_PENALTY, told, -lost))
        return Final(
            self.learner.learner_id,
            self.slug,
            FinalState.GRADED,
            raw - lost,
            attempt.possible,
            tuple(lines),
            raw=raw,
            attempt=attempt.name,
            days_late=days,
            late_days_used=used,
        )

    def _overridden(self, work: LabWork, override: Override) -> Final:
        without = self._decided(work.attempts)
        instead = points_of(without.points) if without.points is not None else without.state.value
        excuse = "; the roster excuses" if self.slug in self.learner.excused else ""
        told = f"set to {points_of(override.points)} by {override.author}: {override.reason}"
        kept = tuple(line for line in without.lines if line.kind is not LineKind.LATE_DAYS)
        change = Line(
            LineKind.OVERRIDE,
            f"{told} (else {instead}{excuse})",
            override.points - (without.points or NOTHING),
        )
        return Final(
            self.learner.learner_id,
            self.slug,
            FinalState.GRADED,
            override.points,
            override.possible,
            (*kept, change),
            raw=without.raw,
            attempt=without.attempt,
            days_late=without.days_late,
            overridden=True,
        )

    def _without_points(self, state: FinalState, line: Line) -> Final:
        return Final(self.learner.learner_id, self.slug, state, None, None, (line,))


def _merit(final: Final) -> tuple[Fraction, int]:
    """What makes one attempt better than another; of equals the earlier counts, as `max` takes the first."""
    assert final.points is not None
    share = Fraction(final.points) / Fraction(final.possible) if final.possible else Fraction(0)
    return share, -final.late_days_used


def _with_first(final: Final, line: Line) -> Final:
    values = {**final.__dict__, "lines": (line, *final.lines)}
    return Final(**values)


def _days(count: int) -> str:
    return f"{count} late {'day' if count == 1 else 'days'}"
