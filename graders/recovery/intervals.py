"""Intervals of seconds: what was measured is known to lie between two bounds, or above one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Interval:
    """The true value is at least `lower_s` and at most `upper_s`, in seconds.

    `upper_s` None is right-censored: what was to end had not ended when the watching did.
    """

    lower_s: float
    upper_s: float | None

    def __post_init__(self) -> None:
        """Refuse what is no interval of durations.

        Raises:
            ValueError: a bound is negative or no number, or the upper one is below the lower one.
        """
        # Comparisons with NaN are false, so they are asked for what should be true.
        if not 0.0 <= self.lower_s < float("inf"):
            raise ValueError(f"{self.lower_s} is no lower bound of a duration")
        if self.upper_s is not None and not self.lower_s <= self.upper_s < float("inf"):
            raise ValueError(f"{self.upper_s} is no upper bound above {self.lower_s}")

    @property
    def censored(self) -> bool:
        """Whether there is a lower bound only."""
        return self.upper_s is None

    def holds(self, value_s: float) -> bool:
        """Whether the true value may be `value_s`."""
        return self.lower_s <= value_s and (self.upper_s is None or value_s <= self.upper_s)

    def within(self, target_s: float) -> bool:
        """Whether the true value is certainly at most `target_s`; never so when censored."""
        return self.upper_s is not None and self.upper_s <= target_s


NOTHING = Interval(0.0, 0.0)


def largest(intervals: Iterable[Interval]) -> Interval:
    """An interval of the largest of several values, each of which is in its own.

    The largest is at least each lower bound and at most the largest upper one; it is censored if any is.

    Raises:
        ValueError: there are none.
    """
    each = list(intervals)
    uppers = [one.upper_s for one in each if one.upper_s is not None]
    return Interval(max(one.lower_s for one in each), max(uppers) if len(uppers) == len(each) else None)


def shown(intervals: Sequence[Interval]) -> str:
    """Intervals in words."""
    return ", ".join(
        f"{each.lower_s:.1f} to {each.upper_s:.1f} s"
        if each.upper_s is not None
        else f"over {each.lower_s:.1f} s"
        for each in intervals
    )


class TargetVerdict(StrEnum):
    """What measurements of one fault say of a target: `REPEAT` asks for one more."""

    MET = "met"
    MISSED = "missed"
    REPEAT = "repeat"
    UNGRADED = "ungraded"


MOST_VOIDS = 2


def decide(measured: Sequence[Interval | None], target_s: float) -> TargetVerdict:
    """What measurements of the same fault, in order, say of a target; None is one that was void.

    An upper bound within the target meets it, a lower bound above misses it, and so does a censored
    measurement. Where the target lies between both the fault is repeated, once, and the second one meets it
    by its lower bound. Nothing is averaged. A void says nothing and is repeated once in all: the second,
    whatever was measured between them, leaves the fault ungraded.
    """
    voids = 0
    undecided = False
    for interval in measured:
        if interval is None:
            voids += 1
            if voids == MOST_VOIDS:
                return TargetVerdict.UNGRADED
        elif interval.censored or interval.lower_s > target_s:
            return TargetVerdict.MISSED
        elif undecided or interval.within(target_s):
            return TargetVerdict.MET
        else:
            undecided = True
    return TargetVerdict.REPEAT
