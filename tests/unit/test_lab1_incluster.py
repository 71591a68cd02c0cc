"""What the in-cluster check says of a record: a small one, written here, and changed in one place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import BundleManifest, Calibration, TrackResult
from graders.evidence.records import Mark, WatchEvent
from graders.faults import InfraFault, Unmet
from graders.judging import judge
from graders.judging.facts import Facts
from graders.lab1.checks.incluster import check_in_cluster
from graders.model import Capability, Status

SYSTEM, JOBS = "mltj-system", "team-abc"
UIDS = {"train": "uid-train", "told": "uid-told", "broken": "uid-broken"}
Record = dict[str, Any]


class Told:
    """A record as plain data: marks by name, and objects that were seen."""

    def __init__(self) -> None:
        self.marks: list[Record] = [
            {"name": "image-built", "data": {"image": "i", "seconds": 4.1, "size_bytes": 1000}},
            {"name": "namespace", "data": {"namespace": JOBS, "part": ""}},
            {"name": "ready", "data": {"pods": {"op-1": "node-1"}, "starts_s": 1.0}},
            *({"name": "disturbed", "data": {"how": how}} for how in ("exit-137", "oom", "evicted")),
            {"name": "end", "data": {"namespace": JOBS}},
        ]
        self.operator = _pod(SYSTEM, "op-1", owner="")
        self.jobs = {
            "train": _job("train", 2, Complete="True"),
            "told": _job("told", 2, Complete="True"),
            "broken": _job("broken", 1, Failed="True"),
        }
        self.jobs["told"]["status"]["restarts"] = 2
        self.pods = [
            _pod(JOBS, "train-0", owner="train", index="0", code=0),
            _pod(JOBS, "train-1", owner="train", index="1", code=0),
            _pod(JOBS, "broken-0", owner="broken", index="0", code=3),
            _pod(JOBS, "told-0", owner="told", index="0", code=137, reason="OOMKilled"),
        ]

    def until(self, name: str, **data: Any) -> None:
        """End with a mark of that name, as if nothing had come after it."""
        built = self.marks[:1]
        self.marks = (
            [*built, {"name": name, "data": data}] if name == "missed" else [{"name": name, "data": data}]
        )

    def bundle(self, folder: Path) -> Bundle:
        with BundleWriter(folder) as writer:
            for number, mark in enumerate(self.marks):
                writer.add(Mark(float(number), "in-cluster", mark["name"], mark["data"]))
            for item in [self.operator, *self.pods]:
                metadata = item["metadata"]
                space, name = metadata["namespace"], metadata["name"]
                writer.add(WatchEvent(20.0, "ADDED", "pods", space, name, item))
            for name, job in self.jobs.items():
                writer.add(WatchEvent(21.0, "MODIFIED", "mltrainingjobs", JOBS, name, job))
            writer.close(_manifest())
        return Bundle(folder)


def _manifest(*capabilities: str) -> BundleManifest:
    return BundleManifest(
        lab="lab1", run_id="r", created_at="", seed=1, provider="kind",
        capabilities=capabilities or ("api", "real-pods"), sandbox="s",
        kubeproof_version="", calibration=Calibration(1.0, 10.0), submission={},
        actors={f"system:serviceaccount:{SYSTEM}:mltj-operator": "learner"},
        tracks={"in-cluster": TrackResult("done", 0.0, 30.0)},
    )  # fmt: skip


def _job(name: str, nodes: int, **conditions: str) -> Record:
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    return {
        "metadata": {"name": name, "namespace": JOBS, "uid": UIDS[name]},
        "spec": {"trainer": {"numNodes": nodes}},
        "status": {"conditions": listed},
    }


def _pod(
    namespace: str, name: str, *, owner: str, index: str = "", code: int | None = None, reason: str = "Error"
) -> Record:
    labels = {"training.mod201.dev/replica-index": index} if index else {}
    references = [{"controller": True, "uid": UIDS[owner]}] if owner else []
    state = {"terminated": {"exitCode": code, "reason": reason}} if code is not None else {"running": {}}
    status = {"name": "c", "state": state, "user": {"linux": {"uid": 65532}}}
    return {
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels,
            "ownerReferences": references,
        },
        "spec": {
            "securityContext": {"runAsNonRoot": True},
            "containers": [{"name": "c", "securityContext": {"readOnlyRootFilesystem": True}}],
        },
        "status": {"phase": "Running", "containerStatuses": [status]},
    }  # fmt: skip


def judged(told: Told, folder: Path) -> Facts:
    facts = Facts()
    check_in_cluster(told.bundle(folder / "bundle"), facts)
    return facts


def test_a_sound_record_passes_and_says_what_was_measured(tmp_path: Path) -> None:
    facts = judged(Told(), tmp_path)
    assert facts["ranks"] == {"0": [0], "1": [0]}
    assert (facts["restarts"], facts["replicas"], facts["oom_killed"]) == (2, 1, 1)
    assert (facts["image_bytes"], facts["build_s"], facts["users"]) == (1000, 4.1, [65532])
    assert facts["disturbed"] == ["exit-137", "oom", "evicted"]


def test_a_record_that_stops_before_the_end_shows_nothing(tmp_path: Path) -> None:
    told = Told()
    told.marks = [mark for mark in told.marks if mark["name"] != "end"]
    with pytest.raises(InfraFault, match="has no mark 'end'"):
        judged(told, tmp_path)


def refused(told: Told) -> None:
    told.until(
        "image-refused", problem='FROM "debian" is no image', file="Dockerfile", line=3, fix="start from"
    )


def failed_build(told: Told) -> None:
    told.until("image-failed", problem="The command 'x' returned 1", seconds=2.0, printed="No matching thing")


def crash_loop(told: Told) -> None:
    told.until(
        "missed",
        waiting_for="the Deployment op to have all its pods available",
        seen="0 of 1 pods available; op-1: Running, not Ready (container c: CrashLoopBackOff: back-off)",
        within_s=60.0,
        log="OSError: [Errno 30] Read-only file system: '/app/x'",
    )


def never_ready(told: Told) -> None:
    told.until("missed", waiting_for="the Deployment op", seen="op-1: Running, not Ready", within_s=60.0)


def refused_by_guards(told: Told) -> None:
    seen = "deployments.apps is forbidden: ValidatingAdmissionPolicy 'kubeproof-containment' denied request"
    told.until("missed", waiting_for="the cluster to take the Deployment op", seen=seen)


def not_pulled(told: Told) -> None:
    seen = "op-1: Pending (container sidecar: ImagePullBackOff: no such host)"
    told.until("missed", waiting_for="the Deployment op", seen=seen, within_s=60.0)


def writable(told: Told) -> None:
    told.operator["spec"]["containers"][0]["securityContext"] = {}


def root(told: Told) -> None:
    told.operator["status"]["containerStatuses"][0]["user"]["linux"]["uid"] = 0


def may_be_root(told: Told) -> None:
    told.operator["spec"]["securityContext"] = {}


def nobody(told: Told) -> None:
    next(mark for mark in told.marks if mark["name"] == "ready")["data"]["pods"] = {}


def rank_failed(told: Told) -> None:
    told.pods[1]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 75


def rank_missing(told: Told) -> None:
    del told.pods[1]


def retried(told: Told) -> None:
    again = copy.deepcopy(told.pods[2])
    again["metadata"]["uid"] = "uid-again"
    told.pods.append(again)


def eviction_counted(told: Told) -> None:
    told.jobs["told"]["status"]["restarts"] = 3


def still_running(told: Told) -> None:
    told.jobs["broken"] = _job("broken", 1)


@pytest.mark.parametrize(
    ("change", "observed", "hint"),
    [
        (refused, 'Dockerfile:3: FROM "debian" is no image', "start from"),
        (failed_build, "the build failed: The command 'x' returned 1; it printed last: No matching", "logs"),
        (crash_loop, "it printed last: OSError: [Errno 30]", "write to an emptyDir"),
        (never_ready, "Running, not Ready", "127.0.0.1"),
        (refused_by_guards, "kubeproof-containment", "take it out"),
        (not_pulled, "ImagePullBackOff", "only your own is on the nodes"),
        (writable, "op-1, container c: it could be written", "readOnlyRootFilesystem"),
        (root, "op-1 ran as user 0", ""),
        (may_be_root, "runAsNonRoot is None", "runAsNonRoot: true"),
        (nobody, "its Deployment has none", "replicas"),
        (rank_failed, "exit codes by rank: {'0': [0], '1': [75]}", "PET_MASTER_ADDR"),
        (rank_missing, "exit codes by rank: {'0': [0]}", "headless Service"),
        (retried, "exit codes (3 is permanent): [3, 3]", ""),
        (eviction_counted, "restarts, after exit-137, oom, evicted: 3", "an eviction and a lost node do not"),
        (still_running, "broken: Failed is not True", ""),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(
    tmp_path: Path, change: Callable[[Told], None], observed: str, hint: str
) -> None:
    told = Told()
    change(told)
    with pytest.raises(Unmet) as caught:
        judged(told, tmp_path)
    assert observed in caught.value.observed
    assert hint in caught.value.hint


def test_where_pods_are_not_real_it_is_not_asked(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    Told().bundle(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["capabilities"], manifest["tracks"] = ["api"], {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (outcome,) = judge(Bundle(folder), lab="lab1", only=["in-cluster"])
    assert outcome.status is Status.UNSUPPORTED
    assert Capability.REAL_PODS.value in outcome.observed


def test_it_is_judged_like_every_other_check(tmp_path: Path) -> None:
    (outcome,) = judge(Told().bundle(tmp_path / "bundle"), lab="lab1", only=["in-cluster"])
    assert (outcome.status, outcome.observed) == (Status.PASSED, "")
