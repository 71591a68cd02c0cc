"""Says when pods of web are ready: the grader's part, for nobody runs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from graders.background import BackgroundThread
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab2.images import BROKEN, digest_of
from graders.lab2.names import NAMESPACE, READY_AFTER_S, WEB
from graders.scenario.fleet import LiveCluster

_LOOK_EVERY_S = 0.2


class Readiness(BackgroundThread):
    """Makes running pods of web ready, by environment and digest; a context manager with a thread."""

    def __init__(self, spokes: Mapping[str, LiveCluster], recording: Recording) -> None:
        """Pods are ready `READY_AFTER_S` after they start, unless `hold` says otherwise; v3 never."""
        super().__init__("readiness")
        self._spokes = spokes
        self._recording = recording
        self._held: dict[tuple[str, str], float] = {}
        self._started: dict[str, float] = {}
        self._first: dict[tuple[str, str], float] = {}
        self.problem = ""

    def hold(self, environment: str, version: str, for_s: float) -> None:
        """No pod of a version gets ready until so many seconds after the first of them started there."""
        self._held[environment, digest_of(version)] = for_s

    def _run(self) -> None:
        with self._recording.changes.listener() as bell:
            while not self._stop.is_set():
                bell.clear()
                try:
                    for environment, live in self._spokes.items():
                        self._look(environment, live)
                except Exception as error:  # (a thread that ends unseen would be held against the learner)
                    self.problem = f"the readiness of pods is not kept any more: {error!r}"
                    return
                bell.wait(_LOOK_EVERY_S)

    def _look(self, environment: str, live: LiveCluster) -> None:
        now = self._recording.clock.now()
        for name, pod in live.watches.objects("pods", NAMESPACE).items():
            if not _waits(pod):
                continue
            started = self._started.setdefault(str(pod["metadata"]["uid"]), now)
            if now >= self._due(environment, pod, started):
                self._make_ready(live, name, pod)

    def _due(self, environment: str, pod: Mapping[str, Any], started: float) -> float:
        """When a pod gets ready that started at `started`."""
        image = next((c["image"] for c in pod["spec"]["containers"] if c["name"] == WEB), "")
        digest = str(image).rpartition("@")[2]
        if digest == digest_of(BROKEN):
            return math.inf
        first = self._first.setdefault((environment, digest), started)
        return max(started + READY_AFTER_S, first + self._held.get((environment, digest), 0.0))

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
            live.kube.patch(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status", body)
        except (ApiRefused, InfraFault):
            # It is gone, or its API server is: the next look tells.
            return


def _waits(pod: Mapping[str, Any]) -> bool:
    """Whether a pod of web runs, stays, and is not ready yet."""
    labels = pod["metadata"].get("labels") or {}
    status = pod.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    return (
        labels.get("app.kubernetes.io/name") == WEB
        and status.get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and not ready
    )
