"""One visit to one job: what its status should say, and what is to be made and deleted."""

from __future__ import annotations

import copy
import time
from datetime import UTC, datetime
from typing import Any

from .children import Object, exit_code, index_of

TYPES = ("Created", "Running", "Restarting", "Suspended", "Complete", "Failed")


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def since(stamp: str) -> float:
    """Seconds since a time of the API."""
    return time.time() - datetime.fromisoformat(stamp).timestamp()


def phase(pod: Object) -> str:
    """The phase of a pod."""
    return str(pod["status"].get("phase"))


class Visit:
    """What one reading of a job and its pods leads to: `status`, `delete`, `create`, `expired`."""

    def __init__(self, job: Object, pods: list[Object]) -> None:
        self.job = job
        self.run: Object = job["spec"]["runPolicy"]
        self.nodes = int(job["spec"]["trainer"]["numNodes"])
        self.pods = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        self.status: Object = copy.deepcopy(job.get("status") or {})
        self.conditions = {each["type"]: each for each in self.status.get("conditions", [])}
        self.delete: list[Object] = []
        self.create: list[int] = []
        for kind in TYPES:
            if kind not in self.conditions:
                self._say(kind, kind == "Created", "Visited")
        self.status.setdefault("restarts", 0)
        if not self.over:
            if self.run.get("suspend"):
                self._suspend()
            else:
                self._train()
        self.status["observedGeneration"] = job["metadata"]["generation"]
        self.status["conditions"] = list(self.conditions.values())
        ttl = self.run.get("ttlSecondsAfterFinished")
        self.expired = bool(
            ttl is not None and self.over and since(self.status["completionTime"]) >= ttl
        )

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return any(self.conditions[kind]["status"] == "True" for kind in ("Complete", "Failed"))

    def _say(self, kind: str, value: bool, reason: str) -> None:
        old, said = self.conditions.get(kind), str(value)
        if old is None or old["status"] != said:
            self.conditions[kind] = {
                "type": kind,
                "status": said,
                "reason": reason,
                "message": "",
                "lastTransitionTime": now(),
            }

    def _suspend(self) -> None:
        self._say("Suspended", True, "Asked")
        self._say("Running", False, "Suspended")
        self._say("Restarting", False, "Suspended")
        self.status["startTime"] = None
        self.delete = self.pods
        self._count([])

    def _train(self) -> None:
        self._say("Suspended", False, "NotAsked")
        if not self.status.get("startTime"):
            self.status["startTime"] = now()
        failed = [pod for pod in self.pods if phase(pod) == "Failed"]
        counted = set(self.status.get("countedFailures", []))
        fresh = [
            pod
            for pod in failed
            if pod["status"].get("reason") != "Evicted" and pod["metadata"]["uid"] not in counted
        ]
        limit_s = self.run.get("activeDeadlineSeconds")
        if limit_s and since(self.status["startTime"]) >= limit_s:
            return self._end("Failed", "DeadlineExceeded")
        failures = int(self.status["restarts"]) + len(fresh)
        if failures > self.run.get("backoffLimit", 3) or any(map(self._permanent, fresh)):
            return self._end("Failed", "TooManyFailures")
        self.status["restarts"] = failures
        still = {pod["metadata"]["uid"] for pod in failed}
        self.status["countedFailures"] = sorted(
            (counted & still) | {pod["metadata"]["uid"] for pod in fresh}
        )
        members = {index_of(pod): pod for pod in self.pods}
        up = [
            pod
            for index, pod in members.items()
            if index < self.nodes and phase(pod) in ("Running", "Succeeded")
        ]
        if len(up) == self.nodes and all(phase(pod) == "Succeeded" for pod in up):
            return self._end("Complete", "AllSucceeded")
        self._say("Running", len(up) == self.nodes, "Counted")
        if fresh:
            self._say("Restarting", True, "PodFailed")
        elif len(up) == self.nodes:
            self._say("Restarting", False, "Running")
        self.delete = failed + [pod for index, pod in members.items() if index >= self.nodes]
        self.create = [index for index in range(self.nodes) if index not in members]
        return self._count(self.pods)

    def _permanent(self, pod: Object) -> bool:
        policy = self.job["spec"]["trainer"].get("restartPolicy", "OnFailure")
        code = exit_code(pod)
        return policy == "Never" or (policy == "ExitCode" and code is not None and 1 <= code <= 127)

    def _end(self, kind: str, reason: str) -> None:
        self._say(kind, True, reason)
        self._say("Running", False, reason)
        self._say("Restarting", False, reason)
        self.status["completionTime"] = now()
        policy = self.run.get("cleanPodPolicy", "None")
        kept = ("Failed", "Succeeded") if policy != "All" else ()
        self.delete = [pod for pod in self.pods if phase(pod) not in kept]
        self._count([pod for pod in self.pods if phase(pod) in ("Failed", "Succeeded")])

    def _count(self, pods: list[Object]) -> None:
        phases = [phase(pod) for pod in pods]
        counts: dict[str, Any] = {
            "active": phases.count("Pending") + phases.count("Running"),
            "ready": sum(
                each["type"] == "Ready" and each["status"] == "True"
                for pod in pods
                for each in pod["status"].get("conditions", [])
            ),
            "succeeded": phases.count("Succeeded"),
            "failed": phases.count("Failed"),
        }
        self.status["replicaStatuses"] = counts
