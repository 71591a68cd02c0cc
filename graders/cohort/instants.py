"""Moments as people write them: due dates on a wall clock, extensions, durations; and days late.

A day late ends at the same time of the wall clock as the due date does, also where a day has 23 or 25 hours.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?")
_DURATION = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

MOMENT_FIX = "write a date, such as 2026-10-12, or a date and time, such as 2026-10-12 23:59"
DURATION_FIX = "write a number and m, h or d: 15m, 2h, 1d"
EXTENSION_FIX = f"{MOMENT_FIX}; or an extension, such as +3d or +12h"


@dataclass(frozen=True)
class Extension:
    """More time for one learner and lab: a due date of their own, or time on top of everybody's."""

    until: str = ""
    """A moment as the roster has it, on the course's wall clock."""
    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        return self.until or (f"+{self.days}d" if self.days else f"+{self.hours}h")

    def apply(self, due: datetime | None, zone: ZoneInfo) -> datetime | None:
        """The learner's own due date; None where the lab has none and only time on top is given."""
        if self.until:
            return moment(self.until, zone)
        if due is None:
            return None
        if self.days:
            return due + timedelta(days=self.days)
        return (due.astimezone(UTC) + timedelta(hours=self.hours)).astimezone(zone)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """A moment on the wall clock of `zone`; a date alone means its end, an hour that comes twice the later.

    Raises:
        ValueError: it is none, or one that the clock there leaps over; says which.
    """
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no date")
    try:
        day = date.fromisoformat(found[1])
        clock = time.fromisoformat(found[2]) if found[2] else time(23, 59, 59)
    except ValueError as error:
        raise ValueError(f"is no date that there is ({error})") from error
    if not 1970 <= day.year <= 9000:
        raise ValueError("is a date of no course")
    at = datetime.combine(day, clock, zone).replace(fold=1)
    there = at.astimezone(UTC).astimezone(zone)
    if there.replace(tzinfo=None) != at.replace(tzinfo=None):
        raise ValueError(f"never comes: the clocks of {zone.key} leap over it")
    return at


def duration(text: str) -> timedelta:
    """A duration such as `15m`.

    Raises:
        ValueError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no duration")
    return int(found[1]) * _UNITS[found[2]]


def extension(text: str) -> Extension:
    """An extension as a roster has it; whether a moment comes on the course's clock, `moment` says.

    Raises:
        ValueError: it is none.
    """
    text = text.strip()
    if text.startswith("+"):
        found = _DURATION.fullmatch(text[1:])
        if found is None or found[2] == "m" or not int(found[1]):
            raise ValueError("is no extension")
        return Extension(days=int(found[1])) if found[2] == "d" else Extension(hours=int(found[1]))
    moment(text, ZoneInfo("UTC"))
    return Extension(until=text)


def days_late(at: datetime, due: datetime, grace: timedelta) -> int:
    """Begun days from `due` to `at`, both aware; 0 until the grace is over, and then counted from `due`."""
    at = at.astimezone(UTC)
    if at <= due.astimezone(UTC) + grace:
        return 0
    days = max(1, (at.astimezone(due.tzinfo).date() - due.date()).days)
    return days if at <= (due + timedelta(days=days)).astimezone(UTC) else days + 1
