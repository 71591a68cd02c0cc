"""gang and placement: a small good record passes, and each flaw in it is told in words."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.evidence.manifest import TrackResult
from graders.faults import InfraFault, Unmet
from graders.judging import Facts
from graders.lab1.checks.scheduling import check_gang, check_placement
from tests.unit.lab1_recording import PARTS, Record, Recording
from tests.unit.synthetic_bundle import make_manifest

Change = Callable[["Tale"], object]

GPU_LIMIT = {"limits": {"nvidia.com/gpu": "1"}}
SPREAD = [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone"}]
TEMPLATE: Record = {
    "metadata": {"labels": {"app": "spread"}},
    "spec": {
        "nodeSelector": {"pool": "ours"},
        "topologySpreadConstraints": SPREAD,
        "containers": [{"name": "trainer", "resources": GPU_LIMIT}, {"name": "sidecar"}],
    },
}
CLASSES = {"urgent": {"name": "t-urgent", "value": 2000}, "usual": {"name": "t-usual", "value": 1000}}
NODES = {"node-1": {"zone": "zone-a", "gpus": 4}, "node-2": {"zone": "zone-b", "gpus": 2}}


class Tale(Recording):
    """A record told piece by piece; the namespace of a track has the track's name."""

    def __init__(self, *tracks: str) -> None:
        done = {track: TrackResult("done", 0.0, 30.0) for track in tracks}
        parts: dict[str, list[Record]] = {part: [] for part in PARTS}
        super().__init__(dataclasses.asdict(make_manifest(tracks=done)), parts)
        for track in tracks:
            self.note(0.0, track, "namespace", namespace=track, part="")

    def note(self, t: float, track: str, name: str, **data: Any) -> None:
        self.marks.append({"t": t, "track": track, "name": name, "data": data})

    def sight(self, t: float, track: str, name: str, body: Record, kind: str = "MODIFIED") -> None:
        resource = "mltrainingjobs" if body["kind"] == "MLTrainingJob" else "pods"
        body = {**body, "metadata": {"name": name, "uid": f"uid-{name}", **body.get("metadata", {})}}
        self.objects.append(
            {"t": t, "type": kind, "resource": resource, "namespace": track, "name": name, "object": body}
        )

    def job(self, t: float, track: str, name: str) -> None:
        self.sight(t, track, name, {"kind": "MLTrainingJob", "spec": {}}, "ADDED")

    def is_running(self, t: float, track: str, name: str, status: str = "True") -> None:
        conditions = [{"type": "Running", "status": status}]
        self.sight(
            t, track, name, {"kind": "MLTrainingJob", "spec": {}, "status": {"conditions": conditions}}
        )

    def pod(self, t: float, track: str, name: str, state: str, uid: str = "", **spec: Any) -> None:
        metadata = {
            "uid": uid or f"uid-{name}",
            "labels": {"app": "spread"},
            "ownerReferences": [{"controller": True, "uid": f"uid-{name.rpartition('-')[0]}"}],
        }
        body = {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": state}}
        self.sight(t, track, name, body)

    def gang(self, track: str, name: str, size: int, *, created: float, runs: float) -> None:
        self.job(created, track, name)
        for index in range(size):
            self.pod(created, track, f"{name}-{index}", "Pending")
            self.pod(runs, track, f"{name}-{index}", "Running")


def gangs() -> Tale:
    """What the tracks of `gang` see of an operator that does all right."""
    tale = Tale("gang", "rival-gangs")
    tale.gang("gang", "wide", 4, created=1.0, runs=6.0)
    tale.note(5.0, "gang", "room")
    tale.note(7.0, "gang", "gang-runs")
    tale.pod(8.0, "gang", "wide-3", "Failed")
    tale.pod(8.5, "gang", "wide-3", "Pending", uid="uid-again")
    survivors = {f"wide-{index}": f"uid-wide-{index}" for index in range(3)}
    tale.note(9.0, "gang", "one-failed", survivors=survivors)
    tale.pod(10.0, "gang", "wide-3", "Running", uid="uid-again")
    tale.gang("gang", "loose", 4, created=11.0, runs=12.0)
    tale.is_running(6.5, "gang", "wide")
    tale.is_running(12.5, "gang", "loose")
    tale.note(13.0, "gang", "in-part", job="loose")
    tale.note(14.0, "gang", "resume", job="wide")
    tale.pod(15.0, "gang", "wide-2", "Pending", uid="uid-resumed")
    tale.gang("rival-gangs", "red", 3, created=1.0, runs=6.0)
    tale.gang("rival-gangs", "blue", 3, created=1.0, runs=12.0)
    tale.note(5.0, "rival-gangs", "room")
    tale.note(11.0, "rival-gangs", "first-ends", first="red", second="blue")
    return tale


def a_spread() -> Tale:
    """What the track of `placement` sees of an operator that does all right."""
    tale = Tale("placement")
    tale.note(1.0, "placement", "asked", template=TEMPLATE, classes=CLASSES, nodes=NODES)
    tale.job(1.0, "placement", "spread")
    tale.job(1.0, "placement", "plain")
    for index, node in enumerate(("node-1", "node-2", "node-1", "node-2")):
        spec = {**copy.deepcopy(TEMPLATE["spec"]), "priorityClassName": "t-urgent", "priority": 2000}
        tale.pod(2.0, "placement", f"spread-{index}", "Running", nodeName=node, **spec)
    tale.pod(2.0, "placement", "plain-0", "Running", priorityClassName="t-usual", priority=1000)
    tale.note(3.0, "placement", "end")
    return tale


def spec_of(tale: Tale, pod: str) -> Record:
    """The spec of a pod as it was last seen, to be changed in place."""
    (*_, last) = tale.pods("placement", pod)
    found: Record = last["spec"]
    return found


def test_a_gang_that_waits_and_runs_as_a_whole_passes(tmp_path: Path) -> None:
    facts = Facts()
    check_gang(gangs().held(tmp_path / "bundle"), facts)
    assert facts["first"] == "red"


def test_a_gang_may_wait_without_any_pods(tmp_path: Path) -> None:
    tale = gangs()
    for index in range(4):
        tale.remove("objects", tale.seen("gang", "pods", f"wide-{index}")[0])
    check_gang(tale.held(tmp_path / "bundle"), Facts())


def test_a_pod_that_fails_before_it_ever_ran_did_not_run(tmp_path: Path) -> None:
    tale = gangs()
    tale.pod(2.0, "gang", "wide-0", "Failed", uid="uid-evicted")
    check_gang(tale.held(tmp_path / "bundle"), Facts())


GANG_FLAWS: dict[str, tuple[Change, str]] = {
    "a pod starts early": (
        lambda tale: tale.pod(4.9, "gang", "wide-2", "Running"),
        "no pod of the gang wide to run with three places for four pods | wide-2 ran",
    ),
    "a pod started early and is gone": (
        lambda tale: tale.pod(3.0, "gang", "wide-1", "Succeeded", uid="uid-early"),
        "wide-1 ran",
    ),
    "one stops again": (
        lambda tale: tale.pod(6.5, "gang", "wide-1", "Pending"),
        "pods that run once there is room: 3",
    ),
    "a failure stops the others": (
        lambda tale: tale.sight(8.8, "gang", "wide-0", tale.pods("gang", "wide-0")[-1], "DELETED"),
        "one fails and cannot be placed again | wide-0 did not",
    ),
    "a failure has the others replaced": (
        lambda tale: tale.mark("gang", "one-failed")["data"]["survivors"].update({"wide-1": "uid-other"}),
        "wide-1 did not",
    ),
    "half of a rival starts early": (
        lambda tale: tale.pod(4.0, "rival-gangs", "blue-0", "Running"),
        "no pod of the gang blue to run with two places for three pods",
    ),
    "the second does not wait for the first": (
        lambda tale: tale.pod(10.0, "rival-gangs", "blue-2", "Running"),
        "no pod of the gang blue to run while red had three of the four places | blue-2 ran",
    ),
    "the first makes way": (
        lambda tale: tale.pod(10.0, "rival-gangs", "red-1", "Pending"),
        "pods of red that run until they are done: 2",
    ),
    "two are not enough": (
        lambda tale: [tale.pod(12.8, "gang", f"loose-{index}", "Pending") for index in (2, 3)],
        "at least 3 of loose's 5 pods to run, with minAvailable 3 and 4 places | 2 ran",
    ),
    "it runs and does not say so": (
        lambda tale: tale.is_running(12.8, "gang", "loose", "False"),
        "loose: Running True, for at least minAvailable of its pods run | loose: it was not, with 4",
    ),
    "it starts in part when it is resumed": (
        lambda tale: tale.pod(15.5, "gang", "wide-2", "Running", uid="uid-resumed"),
        "no pod of wide to run when it is resumed, with one place for its four pods | wide-2 ran",
    ),
    "both wait forever": (
        lambda tale: tale.miss("rival-gangs", "one of the two gangs to run", "2 pods of red run"),
        "one of the two gangs to run, within 10 s | 2 pods of red run",
    ),
}


@pytest.mark.parametrize(("change", "says"), GANG_FLAWS.values(), ids=GANG_FLAWS)
def test_a_gang_in_part_is_told_in_words(change: Change, says: str, tmp_path: Path) -> None:
    tale = gangs()
    change(tale)
    with pytest.raises(Unmet) as unmet:
        check_gang(tale.held(tmp_path / "bundle"), Facts())
    assert says in f"{unmet.value.expected} | {unmet.value.observed}"


def test_an_operator_that_never_says_running_loses_that_elsewhere(tmp_path: Path) -> None:
    tale = gangs()
    for name in ("wide", "loose"):
        for seen in tale.seen("gang", "mltrainingjobs", name):
            seen["object"].pop("status", None)
    check_gang(tale.held(tmp_path / "bundle"), Facts())


def test_either_gang_may_be_the_first(tmp_path: Path) -> None:
    tale = gangs()
    for seen in tale.objects:
        if seen["namespace"] == "rival-gangs":
            text = json.dumps(seen).replace("red", "other").replace("blue", "red").replace("other", "blue")
            seen.clear()
            seen.update(json.loads(text))
    tale.mark("rival-gangs", "first-ends")["data"].update(first="blue", second="red")
    facts = Facts()
    check_gang(tale.held(tmp_path / "bundle"), facts)
    assert facts["first"] == "blue"


def test_a_record_without_the_moment_of_room_is_no_learners_fault(tmp_path: Path) -> None:
    tale = gangs()
    tale.remove("marks", tale.mark("gang", "room"))
    with pytest.raises(InfraFault):
        check_gang(tale.held(tmp_path / "bundle"), Facts())


def test_a_template_that_reaches_the_pods_passes(tmp_path: Path) -> None:
    facts = Facts()
    check_placement(a_spread().held(tmp_path / "bundle"), facts)
    assert facts["pods_by_zone"] == {"zone-a": 2, "zone-b": 2}


def test_fields_that_the_api_server_adds_are_no_change(tmp_path: Path) -> None:
    tale = a_spread()
    spec = spec_of(tale, "spread-0")
    spec["topologySpreadConstraints"][0]["nodeTaintsPolicy"] = "Ignore"
    spec["nodeSelector"]["added"] = "by admission"
    spec["containers"][0]["resources"]["requests"] = {"nvidia.com/gpu": "1"}
    check_placement(tale.held(tmp_path / "bundle"), Facts())


PLACEMENT_FLAWS: dict[str, tuple[Change, str]] = {
    "no spread": (
        lambda tale: spec_of(tale, "spread-1").pop("topologySpreadConstraints"),
        "topologySpreadConstraints as in the template | spread-1: topologySpreadConstraints missing",
    ),
    "a softer spread": (
        lambda tale: spec_of(tale, "spread-1")["topologySpreadConstraints"][0].update(maxSkew=3),
        "spread-1: topologySpreadConstraints",
    ),
    "one spread more": (
        lambda tale: spec_of(tale, "spread-1")["topologySpreadConstraints"].append({}),
        "spread-1: topologySpreadConstraints",
    ),
    "no node selector": (
        lambda tale: spec_of(tale, "spread-3").pop("nodeSelector"),
        "spread-3: nodeSelector missing",
    ),
    "no label": (
        lambda tale: [pod["metadata"].pop("labels") for pod in tale.pods("placement", "spread-0")],
        "spread-0: labels None",
    ),
    "no GPU": (
        lambda tale: spec_of(tale, "spread-2")["containers"][0].pop("resources"),
        "spread-2, container trainer: GPU limit none",
    ),
    "a GPU for everybody": (
        lambda tale: spec_of(tale, "spread-2")["containers"][1].update(resources=GPU_LIMIT),
        "spread-2, container sidecar: GPU limit 1",
    ),
    "a container lost": (
        lambda tale: spec_of(tale, "spread-2")["containers"].pop(),
        "spread-2, container sidecar: GPU limit none, for there is no such container",
    ),
    "the policy's class wins": (
        lambda tale: spec_of(tale, "spread-0").update(priorityClassName="t-usual"),
        "spread-0: priorityClassName (the template's) t-urgent",
    ),
    "the policy's class is not used": (
        lambda tale: spec_of(tale, "plain-0").pop("priorityClassName"),
        "plain-0: priorityClassName (schedulingPolicy's, for the template names none) t-usual",
    ),
    "a priority of its own": (
        lambda tale: spec_of(tale, "plain-0").update(priority=7),
        "plain-0: priority 7",
    ),
    "all in one zone": (
        lambda tale: spec_of(tale, "spread-1").update(nodeName="node-1"),
        "pods per zone: zone-a 3, zone-b 1",
    ),
    "more pods than GPUs": (
        lambda tale: spec_of(tale, "spread-0").update(nodeName="node-2"),
        "at most 2 pods with a GPU each on node-2",
    ),
    "a node of its own choice": (
        lambda tale: spec_of(tale, "spread-0").update(nodeName="node-9"),
        "spread-0 elsewhere",
    ),
    "no pods": (lambda tale: tale.miss("placement", "4 pods of spread, Running", "0 pods: none"), "0 pods"),
}


@pytest.mark.parametrize(("change", "says"), PLACEMENT_FLAWS.values(), ids=PLACEMENT_FLAWS)
def test_a_template_that_does_not_is_told_in_words(change: Change, says: str, tmp_path: Path) -> None:
    tale = a_spread()
    change(tale)
    with pytest.raises(Unmet) as unmet:
        check_placement(tale.held(tmp_path / "bundle"), Facts())
    assert says in f"{unmet.value.expected} | {unmet.value.observed}"
