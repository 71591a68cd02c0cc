"""When the clock of a job starts."""

from __future__ import annotations

from datetime import datetime

from . import times
from .status import Status


def start_time(status: Status, suspended: bool, now: datetime) -> datetime | None:
    """The first visit."""
    if suspended:
        return status.start_time
    return status.start_time or times.whole(now)
