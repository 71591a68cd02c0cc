"""A small plausible bundle of lab 1, written record by record: three tracks on a simulated clock.

`make_bundle(folder)` gives the whole of it; `Story` is there for tests that tell another one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import BundleManifest, Calibration, ClusterInfo, TrackResult
from graders.evidence.records import (
    AuditEvent,
    HarnessSample,
    HealthSample,
    Mark,
    ProcessEvent,
    Request,
    Scrape,
    ToolRun,
    WatchEvent,
)

OPERATOR = "system:serviceaccount:mltj-system:mltj-operator"
GROUP = "training.mod201.dev"
HOUSE = {
    "kubeproof-grader": "grader",
    "kwok": "control-plane",
    "system:apiserver": "control-plane",
    "system:kube-scheduler": "control-plane",
    "system:kube-controller-manager": "control-plane",
    "system:serviceaccount:kube-system:generic-garbage-collector": "control-plane",
}
"""Users that are not the learner's, and whose they are."""

CONDITIONS = ("Created", "Running", "Restarting", "Suspended", "Complete", "Failed")


class Story:
    """Tells what happened to jobs and pods of one namespace; times are seconds of the run."""

    def __init__(self, writer: BundleWriter, track: str, namespace: str, ids: Iterator[int]) -> None:
        self.writer = writer
        self.track = track
        self.namespace = namespace
        self._ids = ids
        self._uids: dict[str, str] = {}

    def mark(self, t: float, name: str, **data: Any) -> None:
        """The scenario did or reached something."""
        self.writer.add(Mark(t, self.track, name, data))

    def write(self, t: float, verb: str, resource: str, name: str, code: int = 200, **more: Any) -> None:
        """The operator wrote something."""
        group = GROUP if resource == "mltrainingjobs" else ""
        self.writer.add(
            AuditEvent(
                t=t,
                t_end=t + 0.01,
                id=f"audit-{next(self._ids)}",
                user=more.pop("user", OPERATOR),
                verb=verb,
                group=group,
                resource=resource,
                subresource=more.pop("subresource", ""),
                namespace=self.namespace,
                name=name,
                code=code,
                **more,
            )
        )

    def job(
        self, t: float, name: str, *true: str, seen: str = "MODIFIED", nodes: int = 4, **status: Any
    ) -> None:
        """The job as a watch saw it, with the conditions `true`."""
        conditions = [
            {
                "type": kind,
                "status": str(kind in true),
                "reason": kind,
                "message": "",
                "lastTransitionTime": "",
            }
            for kind in CONDITIONS
        ]
        body = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "MLTrainingJob",
            "metadata": self._metadata(name),
            "spec": {"trainer": {"numNodes": nodes, "template": {"spec": {"containers": []}}}},
            "status": {"conditions": conditions if true else [], **status},
        }
        self.writer.add(WatchEvent(t, seen, "mltrainingjobs", self.namespace, name, body))

    def pod(
        self, t: float, job: str, index: int, phase: str, seen: str = "MODIFIED", *, dying: bool = False
    ) -> None:
        """A pod of `job` as a watch saw it; seen ADDED it is a new one."""
        name = f"{job}-{index}"
        if seen == "ADDED":
            self._uids.pop(name, None)
        metadata: dict[str, Any] = self._metadata(name) | {
            "labels": {f"{GROUP}/job-name": job, f"{GROUP}/replica-index": str(index)},
            "ownerReferences": [
                {"kind": "MLTrainingJob", "name": job, "uid": self._uid(job), "controller": True}
            ],
        }
        if dying:
            metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase}}
        self.writer.add(WatchEvent(t, seen, "pods", self.namespace, name, body))

    def start(self, t: float, job: str, nodes: int = 4) -> None:
        """A job is created and its pods run, as the reference operator does it."""
        self.mark(t, "created", job=job)
        self.job(t + 0.05, job, seen="ADDED", nodes=nodes)
        self.write(t + 0.12, "create", "services", job, 201)
        for index in range(nodes):
            at = t + 0.15 + 0.04 * index
            self.write(at, "create", "pods", f"{job}-{index}", 201)
            self.pod(at + 0.02, job, index, "Pending", "ADDED")
            self.pod(at + 0.9, job, index, "Running")
        self.write(t + 0.4, "patch", "mltrainingjobs", job, subresource="status")
        self.write(t + 0.42, "create", "events", f"{job}.1", 201)
        self.job(t + 0.42, job, "Created")
        self.write(t + 1.3, "patch", "mltrainingjobs", job, 409, subresource="status")
        self.write(t + 1.35, "patch", "mltrainingjobs", job, subresource="status")
        self.job(t + 1.37, job, "Created", "Running", restarts=0)

    def replace(self, t: float, job: str, index: int) -> None:
        """A failed pod is deleted and made anew."""
        self.pod(t, job, index, "Failed")
        self.write(t + 0.1, "patch", "mltrainingjobs", job, subresource="status")
        self.job(t + 0.12, job, "Created", "Restarting")
        self.write(t + 0.2, "delete", "pods", f"{job}-{index}")
        self.pod(t + 0.22, job, index, "Failed", dying=True)
        self.pod(t + 0.5, job, index, "Failed", "DELETED")
        self.write(t + 0.55, "create", "pods", f"{job}-{index}", 201)
        self.pod(t + 0.57, job, index, "Pending", "ADDED")
        self.pod(t + 1.4, job, index, "Running")
        self.write(t + 1.5, "patch", "mltrainingjobs", job, subresource="status")
        self.job(t + 1.52, job, "Created", "Running")

    def _metadata(self, name: str) -> dict[str, Any]:
        return {"name": name, "namespace": self.namespace, "uid": self._uid(name), "generation": 1}

    def _uid(self, name: str) -> str:
        return self._uids.setdefault(name, f"uid-{self.namespace}-{next(self._ids)}")


def make_manifest(**changes: Any) -> BundleManifest:
    """The manifest of the bundle that `make_bundle` writes, with fields changed."""
    fields: dict[str, Any] = {
        "lab": "lab1",
        "run_id": "20300101-000000-abcdef",
        "created_at": "2030-01-01T00:00:00+00:00",
        "seed": 7,
        "provider": "embedded",
        "capabilities": ("api", "audit-log", "controllers", "simulated-nodes"),
        "sandbox": "bubblewrap",
        "kubeproof_version": "0.1.0",
        "clusters": {"lab1": ClusterInfo("embedded", "v1.37.2", ("api", "audit-log"))},
        "actors": {**HOUSE, OPERATOR: "learner"},
        "calibration": Calibration(1.0, 10.0),
        "submission": {"learner_id": "ada", "digest": "sha256:" + "0" * 64},
        "tracks": {
            "lifecycle": TrackResult("done", 2.0, 14.0),
            "retries": TrackResult("done", 2.5, 17.0),
            "suspend": TrackResult("failed", 3.0, 9.0, "the API server stopped answering for 12 s"),
        },
        "timing": {"cluster": 3.2, "scenario": 15.4},
    }
    return BundleManifest(**fields | changes)


def make_bundle(folder: Path, manifest: BundleManifest | None = None) -> Bundle:
    """Write the bundle into `folder` and open it."""
    writer = BundleWriter(folder)
    ids = itertools.count(1)
    _lifecycle(Story(writer, "lifecycle", "kp-lifecycle", ids))
    _retries(Story(writer, "retries", "kp-retries", ids))
    _suspend(Story(writer, "suspend", "kp-suspend", ids))
    for t, event in ((0.4, "started"), (1.6, "ready"), (8.0, "killed"), (8.02, "exited"), (9.1, "started")):
        writer.add(ProcessEvent(t, "operator-1" if t < 9 else "operator-2", event, {}))
    metrics = '# TYPE mltrainingjob_jobs_active gauge\nmltrainingjob_jobs_active{namespace="kp-retries"} 1\n'
    writer.add(Scrape(4.0, "operator-1", ok=True, text=metrics))
    writer.add(Scrape(8.5, "operator-1", ok=False, error="connection refused"))
    path = f"/apis/{GROUP}/v1alpha1/namespaces/kp-lifecycle/mltrainingjobs"
    writer.add(Request(2.1, "lifecycle", "numNodes-0", "POST", path, 422, {}, {"reason": "Invalid"}))
    writer.add(ToolRun(1.0, "ruff", ("ruff", "check", "."), 0, 0.2, "All checks passed!\n"))
    writer.add(HarnessSample(3.0, 0.001))
    writer.add(HealthSample(3.0, 0.004, cluster="lab1"))
    writer.close(manifest or make_manifest())
    return Bundle(folder)


def _lifecycle(story: Story) -> None:
    story.mark(2.0, "namespace", namespace=story.namespace)
    story.start(2.2, "train")
    story.mark(5.0, "scaled", job="train", numNodes=2)
    story.job(5.02, "train", "Created", "Running", nodes=2)
    for index in (3, 2):
        story.write(5.2, "delete", "pods", f"train-{index}")
        story.pod(5.22, "train", index, "Running", dying=True)
        story.pod(6.2, "train", index, "Running", "DELETED")
    story.mark(7.0, "pods-succeeded", job="train")
    for index in (0, 1):
        story.pod(7.0 + 1.6 * index, "train", index, "Succeeded")
    story.write(9.4, "patch", "mltrainingjobs", "train", subresource="status")
    story.job(9.42, "train", "Created", "Complete", completionTime="2030-01-01T00:00:09Z", nodes=2)
    story.mark(11.0, "deleted", job="train")
    story.job(11.05, "train", "Created", "Complete", seen="DELETED", nodes=2)
    for index in (0, 1):
        story.pod(11.2, "train", index, "Succeeded", "DELETED")


def _retries(story: Story) -> None:
    story.mark(2.5, "namespace", namespace=story.namespace)
    story.start(2.6, "flaky", nodes=3)
    for n, t in enumerate((5.0, 10.0)):
        story.mark(t - 0.1, "pod-failed", job="flaky", pod=f"flaky-{n}", exitCode=1)
        story.replace(t, "flaky", n)
    story.mark(7.9, "operator-killed")
    story.job(12.6, "flaky", "Created", "Running", "Restarting")
    story.mark(13.9, "pod-failed", job="flaky", pod="flaky-2", exitCode=1)
    story.pod(14.0, "flaky", 2, "Failed")
    story.write(14.2, "patch", "mltrainingjobs", "flaky", subresource="status")
    story.job(14.22, "flaky", "Created", "Failed", restarts=2)
    for index in (0, 1):
        story.write(14.4, "delete", "pods", f"flaky-{index}")
        story.pod(14.42, "flaky", index, "Running", dying=True)
        story.pod(15.4, "flaky", index, "Running", "DELETED")
    story.write(15.0, "create", "pods", "flaky-3", 403)


def _suspend(story: Story) -> None:
    story.mark(3.0, "namespace", namespace=story.namespace)
    story.start(3.1, "pausing", nodes=2)
    story.mark(6.0, "suspended", job="pausing")
    for index in (0, 1):
        story.write(6.2, "delete", "pods", f"pausing-{index}")
        story.pod(6.22, "pausing", index, "Running", dying=True)
        story.pod(7.2, "pausing", index, "Running", "DELETED")
    story.write(6.3, "patch", "mltrainingjobs", "pausing", subresource="status")
    story.job(6.32, "pausing", "Created", "Suspended")
