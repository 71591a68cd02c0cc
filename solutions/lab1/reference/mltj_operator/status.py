"""What the operator remembers about a job: all of it is in the job's status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import conditions as conds
from . import times
from .conditions import Condition


@dataclass(frozen=True)
class Replicas:
    """How many pods are in which state; `succeeded` counts finished indices."""

    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0

    def render(self) -> dict[str, int]:
        """The status field `replicaStatuses`."""
        return {
            "active": self.active,
            "ready": self.ready,
            "succeeded": self.succeeded,
            "failed": self.failed,
        }


@dataclass(frozen=True)
class Status:
    """The operator's own part of a job's status."""

    observed_generation: int = 0
    start_time: datetime | None = None
    first_running_time: datetime | None = None
    completion_time: datetime | None = None
    restarts: int = 0
    counted: tuple[str, ...] = ()
    """UIDs of failed pods that `restarts` includes already and that are still to be removed."""
    finished: tuple[int, ...] = ()
    """Indices whose pod succeeded."""
    clean_pod_policy: str = ""
    """The policy in force when the job ended; later edits don't count."""
    replicas: Replicas = field(default_factory=Replicas)
    conditions: tuple[Condition, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the job is Complete or Failed, which it then stays."""
        return self.is_true(conds.COMPLETE) or self.is_true(conds.FAILED)

    def is_true(self, kind: str) -> bool:
        """Whether the condition of this type is True."""
        return conds.is_true(self.conditions, kind)

    def changes(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The merge patch that turns the status `raw` into this one; empty when there is none."""
        return {key: value for key, value in self.render().items() if raw.get(key) != value}

    def render(self) -> dict[str, Any]:
        """The fields as the API knows them; None removes a field."""
        return {
            "observedGeneration": self.observed_generation,
            "startTime": times.render(self.start_time),
            "firstRunningTime": times.render(self.first_running_time),
            "completionTime": times.render(self.completion_time),
            "restarts": self.restarts,
            "countedFailures": list(self.counted) or None,
            "finishedIndices": list(self.finished) or None,
            "cleanPodPolicy": self.clean_pod_policy or None,
            "replicaStatuses": self.replicas.render(),
            "conditions": [dict(condition) for condition in self.conditions],
        }


def parse_status(raw: Mapping[str, Any]) -> Status:
    """Read a job's `status`; an absent one reads as never visited."""
    counts = raw.get("replicaStatuses") or {}
    return Status(
        observed_generation=raw.get("observedGeneration", 0),
        start_time=times.parse(raw.get("startTime")),
        first_running_time=times.parse(raw.get("firstRunningTime")),
        completion_time=times.parse(raw.get("completionTime")),
        restarts=raw.get("restarts", 0),
        counted=tuple(raw.get("countedFailures") or ()),
        finished=tuple(raw.get("finishedIndices") or ()),
        clean_pod_policy=raw.get("cleanPodPolicy") or "",
        replicas=Replicas(
            active=counts.get("active", 0),
            ready=counts.get("ready", 0),
            succeeded=counts.get("succeeded", 0),
            failed=counts.get("failed", 0),
        ),
        conditions=tuple(raw.get("conditions") or ()),
    )
