"""An MLTrainingJob as read from the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .names import API_VERSION, KIND, pod_name
from .status import Status, parse_status


class Key(NamedTuple):
    """Where a job is found; says nothing about which job is found there."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Job:
    """One reading of a job."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    suspend: bool
    backoff_limit: int
    active_deadline_s: int | None
    ttl_s: int | None
    clean_pod_policy: str
    min_available: int
    priority_class: str
    nodes: int
    restart_policy: str
    template: Mapping[str, Any]
    annotations: Mapping[str, str]
    raw_status: Mapping[str, Any]
    status: Status

    @property
    def quorum(self) -> int:
        """How many pods must be up before the job counts as running."""
        return min(self.min_available, self.nodes) if self.min_available > 1 else self.nodes

    @property
    def gang(self) -> bool:
        """Whether pods may only start together."""
        return min(self.min_available, self.nodes) > 1

    def pod_name(self, index: int) -> str:
        """Name of the pod with this index."""
        return pod_name(self.key.name, index)

    def owner_reference(self) -> dict[str, Any]:
        """The controller reference every child carries."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.key.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def parse_job(raw: Mapping[str, Any]) -> Job:
    """Read an API object. Defaults repeat the CRD's, for objects older than a default."""
    meta, spec = raw["metadata"], raw["spec"]
    policy = spec.get("runPolicy") or {}
    scheduling = policy.get("schedulingPolicy") or {}
    trainer = spec["trainer"]
    status = raw.get("status") or {}
    return Job(
        key=Key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        generation=meta.get("generation", 1),
        resource_version=meta["resourceVersion"],
        deleting=bool(meta.get("deletionTimestamp")),
        suspend=policy.get("suspend", False),
        backoff_limit=policy.get("backoffLimit", 3),
        active_deadline_s=policy.get("activeDeadlineSeconds"),
        ttl_s=policy.get("ttlSecondsAfterFinished"),
        clean_pod_policy=policy.get("cleanPodPolicy", "None"),
        min_available=scheduling.get("minAvailable", 1),
        priority_class=scheduling.get("priorityClass", ""),
        nodes=trainer.get("numNodes", 1),
        restart_policy=trainer.get("restartPolicy", "OnFailure"),
        template=trainer["template"],
        annotations=meta.get("annotations") or {},
        raw_status=status,
        status=parse_status(status),
    )
