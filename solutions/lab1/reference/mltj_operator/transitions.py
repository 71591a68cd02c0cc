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

    latency_s = None
    if new.first_running_time and new.start_time and not old.first_running_time:
        latency_s = (new.first_running_time - new.start_time).total_seconds()
    return Transitions(
        created=rose(conds.CREATED),
        running=rose(conds.RUNNING),
        suspended=rose(conds.SUSPENDED),
        resumed=old.is_true(conds.SUSPENDED) and not new.is_true(conds.SUSPENDED),
        complete=rose(conds.COMPLETE),
        failed=rose(conds.FAILED),
        restarts=new.restarts - old.restarts,
        start_latency_s=latency_s,
    )
