"""Says when the pods of one workload are ready: the grader's part, for nobody runs them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graders.background import BackgroundThread
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.scenario.fleet import LiveCluster

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class HeldWorkload:
    """Whose pods are held: they have its name as label and container, and get ready `after_s` they start.

    Those of the digest `broken` never do.
    """

    namespace: str
    name: str
    after_s: float
    broken: str = ""


class Readiness(BackgroundThread):
    """Makes running pods of a workload ready, by cluster and digest; a context manager with a thread."""

    def __init__(
        self, workload: HeldWorkload, clusters: Mapping[str, LiveCluster], recording: Recording
    ) -> None:
        super().__init__("readiness")
        self._workload = workload
        self._clusters = clusters
        self._recording = recording
        self._held: dict[tuple[str, str], float] = {}
        self._started: dict[str, float] = {}
        self._first: dict[tuple[str, str], float] = {}
        self.problem = ""

    def hold(self, cluster: str, digest: str, for_s: float) -> None:
        """No pod of a digest gets ready until so many seconds after the first of them started there."""
        self._held[cluster, digest] = for_s

    def _run(self) -> None:
        with self._recording.changes.listener() as bell:
            while not self._stop.is_set():
                bell.clear()
                try:
                    for cluster, live in self._clusters.items():
                        self._look(cluster, live)
                except Exception as error:  # (a thread that ends unseen would be held against the learner)
                    self.problem = f"the readiness of pods is not kept any more: {error!r}"
                    return
                bell.wait(_LOOK_EVERY_S)

    def _look(self, cluster: str, live: LiveCluster) -> None:
        now = self._recording.clock.now()
        for name, pod in live.watches.objects("pods", self._workload.namespace).items():
            if not self._waits(pod):
                continue
            started = self._started.setdefault(str(pod["metadata"]["uid"]), now)
            if now >= self._due(cluster, pod, started):
                self._make_ready(live, name, pod)

    def _due(self, cluster: str, pod: Mapping[str, Any], started: float) -> float:
        """When a pod gets ready that started at `started`."""
        image = next((c["image"] for c in pod["spec"]["containers"] if c["name"] == self._workload.name), "")
        digest = str(image).rpartition("@")[2]
        if digest == self._workload.broken:
            return math.inf
        first = self._first.setdefault((cluster, digest), started)
        return max(started + self._workload.after_s, first + self._held.get((cluster, digest), 0.0))

    def _make_ready(self, live: LiveCluster, name: str, pod: Mapping[str, Any]) -> None:
        status = pod["status"]
        changed = [
            {**each, "status": "True", "reason": None}
            if each["type"] in ("Ready", "ContainersReady")
            else each
            for each in status["conditions"]
        ]
        containers = [{**each, "ready": True} for each in status.get("containerStatuses") or ()]
        body = {"status": {"conditions": changed, "containerStatuses": containers}}
        try:
            live.kube.patch(f"/api/v1/namespaces/{self._workload.namespace}/pods/{name}/status", body)
        except (ApiRefused, InfraFault):
            # It is gone, or its API server is: the next look tells.
            return

    def _waits(self, pod: Mapping[str, Any]) -> bool:
        """Whether a pod of the workload runs, stays, and is not ready yet."""
        labels = pod["metadata"].get("labels") or {}
        status = pod.get("status") or {}
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
        return (
            labels.get("app.kubernetes.io/name") == self._workload.name
            and status.get("phase") == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            and not ready
        )
