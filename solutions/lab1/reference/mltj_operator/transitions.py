"""What a status write changed, for those who tell others about it."""

from __future__ import annotations

from dataclasses import dataclass

from . import conditions as conds
from .status import Status


@dataclass(frozen=True)
class Transitions:
    """The difference between a job's status before and after a write."""

    created: bool
    running: bool
    suspended: bool
    resumed: bool
    complete: bool
    failed: bool
    restarts: int
    start_latency_s: float | None
    """From startTime to the first time Running; None unless this is that time."""


def between(old: Status, new: Status) -> Transitions:
    """Compare two statuses of one job."""

    def rose(kind: str) -> bool:
        return new.is_true(kind) and not old.is_true(kind)

    first = new.first_running_time if not old.first_running_time else None
    measured = first is not None and new.start_time is not None
    return Transitions(
        created=rose(conds.CREATED),
        running=rose(conds.RUNNING),
        suspended=rose(conds.SUSPENDED),
        resumed=old.is_true(conds.SUSPENDED) and not new.is_true(conds.SUSPENDED),
        complete=rose(conds.COMPLETE),
        failed=rose(conds.FAILED),
        restarts=new.restarts - old.restarts,
        start_latency_s=(first - new.start_time).total_seconds()
        if measured and first and new.start_time
        else None,
    )
