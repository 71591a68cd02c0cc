"""The conditions of a job, kept in a list that others write to as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import times

CREATED = "Created"
RUNNING = "Running"
RESTARTING = "Restarting"
SUSPENDED = "Suspended"
COMPLETE = "Complete"
FAILED = "Failed"

Condition = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a condition should say; the time of its last flip is not ours to choose."""

    true: bool
    reason: str
    message: str = ""


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether a condition of this type is there and True."""
    return any(c.get("type") == kind and c.get("status") == "True" for c in conditions)


def merged(
    current: Iterable[Condition], wanted: Mapping[str, Wanted], now: datetime
) -> tuple[Condition, ...]:
    """What is `wanted`, with the times of `current` where nothing flipped."""
    result: list[Condition] = []
    pending = dict(wanted)
    for condition in current:
        mine = pending.pop(str(condition.get("type")), None)
        if mine:
            result.append(_updated(condition, mine, now))
    result.extend(_updated({"type": kind}, mine, now) for kind, mine in pending.items())
    return tuple(result)


def _updated(old: Condition, wanted: Wanted, now: datetime) -> Condition:
    status = "True" if wanted.true else "False"
    flipped = old.get("status") != status or not old.get("lastTransitionTime")
    return {
        **old,
        "status": status,
        "reason": wanted.reason,
        "message": wanted.message,
        "lastTransitionTime": times.render(now) if flipped else old["lastTransitionTime"],
    }
