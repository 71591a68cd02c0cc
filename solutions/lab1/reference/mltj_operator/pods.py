"""A training pod as read from the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import conditions as conds
from .names import GANG_GATE


@dataclass(frozen=True)
class Pod:
    """One reading of a pod of a job."""

    name: str
    uid: str
    index: int | None
    """None when the name is not one the operator gives."""
    phase: str = "Pending"
    terminating: bool = False
    ready: bool = False
    disrupted: bool = False
    """Stopped by the cluster (eviction, node loss), not by what ran in it."""
    exit_code: int | None = None
    """The first non-zero one of its containers; None when none is known."""
    gated: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def active(self) -> bool:
        """Present and neither finished nor going."""
        return not self.terminating and self.phase not in ("Succeeded", "Failed")

    @property
    def running(self) -> bool:
        """Running and not going."""
        return not self.terminating and self.phase == "Running"

    @property
    def succeeded(self) -> bool:
        """Finished well by itself: one that ends well while being deleted was cut short."""
        return not self.terminating and self.phase == "Succeeded"

    @property
    def failed(self) -> bool:
        """Failed and not going."""
        return not self.terminating and self.phase == "Failed"


def parse_pod(raw: Mapping[str, Any], job_name: str) -> Pod:
    """Read a pod that belongs to the job `job_name`."""
    meta, status = raw["metadata"], raw.get("status") or {}
    conditions = status.get("conditions") or ()
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        index=_index(meta["name"], job_name),
        phase=status.get("phase", "Pending"),
        terminating=bool(meta.get("deletionTimestamp")),
        ready=conds.is_true(conditions, "Ready"),
        disrupted=status.get("reason") == "Evicted"
        or conds.is_true(conditions, "DisruptionTarget"),
        exit_code=_exit_code(status),
        gated=GANG_GATE in gates(raw),
        raw=raw,
    )


def gates(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the scheduling gates that still hold a pod back."""
    return tuple(gate["name"] for gate in raw["spec"].get("schedulingGates") or ())


def _index(pod_name: str, job_name: str) -> int | None:
    prefix, _, digits = pod_name.rpartition("-")
    plain = digits.isascii() and digits.isdecimal() and str(int(digits)) == digits
    return int(digits) if prefix == job_name and plain else None


def _exit_code(status: Mapping[str, Any]) -> int | None:
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or ():
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
            if code:
                return int(code)
    return None
