"""What the grader of lab 3 has in the namespace beside the workload: its probes, and its ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.kube.client import Answer
from graders.lab3.names import (
    JUDGED_BY,
    LEDGER_LABEL,
    MODELS_GROUP,
    MODELS_VERSION,
    NODE_LOSS,
    POD_KILL,
    PROBE_LABEL,
)
from graders.polling import NotYet, wait_for
from graders.recovery.probes import CANARY as DEPLOYED
from graders.recovery.probes import CAPACITY, SERVING, WRITE, ProbeSpec
from graders.recovery.records import ProbeSample
from graders.scenario import steadystate as probers
from graders.scenario.recordledger import LedgerPlace, OwnerKind, RecordLedger
from graders.scenario.steadystate import ProbedWorkload, SteadyStateProber
from tests.unit.lab3_recording import reference

MODELS = "/apis/registry.mod201.dev/v1alpha1/namespaces/serving/models"
CONFIG_MAPS = "/api/v1/namespaces/serving/configmaps"
CANARY = ProbeSpec("canary", 0.2, 0.2)
PLACE = LedgerPlace("serving", LEDGER_LABEL, OwnerKind(f"{MODELS_GROUP}/{MODELS_VERSION}", "Model", "models"))
Body = Mapping[str, Any]


class Keeping:
    """An API server that keeps what it is sent; `lists` answers a collection by the end of its path."""

    def __init__(self, **lists: list[Body]) -> None:
        self.lists = lists
        self.sent: list[tuple[str, str, Any]] = []
        self.kept: dict[str, Any] = {}
        self.forgetful = False

    def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Answer:
        if method == "GET":
            plural = path.rpartition("/")[2]
            if plural in self.lists:
                return Answer(200, {"items": self.lists[plural]})
            return Answer(200, {"data": {"slot": "-1"}} if self.forgetful else self.kept[path])
        self.sent.append((method, path, body))
        if method == "POST":
            body = {**body, "metadata": {**body["metadata"], "uid": f"uid of {body['metadata']['name']}"}}
        self.kept[path] = body
        return Answer(200, body)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    with BundleWriter(tmp_path / "written") as writer:
        yield Recording(writer)


def slices(*nodes: str) -> list[Body]:
    """A ready address on each of these nodes."""
    endpoints = [
        {"addresses": [f"10.0.0.{at}"], "conditions": {"ready": True}, "nodeName": node}
        for at, node in enumerate(nodes)
    ]
    labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    return [{"metadata": {"labels": labels}, "endpoints": endpoints}]


def pods(*, ready: bool) -> list[Body]:
    return [{"status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}]


def probed(recording: Recording, kube: Keeping, *dead: str, replicas: int = 2) -> dict[str, ProbeSample]:
    """The first sample of each probe."""
    workload = ProbedWorkload("serving", "predictor", replicas, "canaries", PROBE_LABEL)
    prober = SteadyStateProber(recording, cast(Any, kube), "one", workload, 1.0)
    prober.dead_nodes = frozenset(dead)
    found: dict[str, ProbeSample] = {}

    def all_sampled() -> None:
        for spec, samples in prober.samples(0.0, 1e9).items():
            if not samples:
                raise NotYet(f"{spec.name} has no sample")
            found[spec.name] = samples[0]

    with prober:
        wait_for(all_sampled, timeout_s=10.0, interval_s=0.02)
    return found


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probers, "CANARY", CANARY)


def failed(samples: Mapping[str, ProbeSample]) -> set[str]:
    return {name for name, sample in samples.items() if not sample.ok}


def test_steady_state_is_addresses_a_write_and_a_new_pod(recording: Recording) -> None:
    kube = Keeping(endpointslices=slices("node-a1", "node-b1"), pods=pods(ready=True))
    assert failed(probed(recording, kube)) == set()


@pytest.mark.parametrize(
    ("nodes", "dead", "replicas", "lost"),
    [
        (("node-a1",), (), 2, {SERVING.name, CAPACITY.name}),
        (("node-a1", "node-b1"), ("node-a1",), 2, {SERVING.name, CAPACITY.name}),
        (("node-a1", "node-b1"), (), 4, {CAPACITY.name}),
    ],
)
def test_two_ready_addresses_on_live_nodes_are_served(
    recording: Recording, nodes: tuple[str, ...], dead: tuple[str, ...], replicas: int, lost: set[str]
) -> None:
    kube = Keeping(endpointslices=slices(*nodes), pods=pods(ready=True))
    assert failed(probed(recording, kube, *dead, replicas=replicas)) == lost


def test_after_a_loss_each_replica_has_to_be_an_address_again(recording: Recording) -> None:
    kube = Keeping(endpointslices=slices("node-a1", "node-b1", "node-b2"), pods=pods(ready=True))
    samples = probed(recording, kube, replicas=4)
    assert failed(samples) == {CAPACITY.name}
    assert samples[CAPACITY.name].error == "3 ready addresses"
    for scenario in (POD_KILL, NODE_LOSS):
        assert CAPACITY.name in JUDGED_BY[scenario]


def test_an_answer_after_a_second_is_none_and_a_pod_has_two() -> None:
    for spec, limit_s in ((WRITE, 1.0), (SERVING, 1.0), (CAPACITY, 1.0), (DEPLOYED, 2.0)):
        in_time = ProbeSample(0.0, limit_s, spec.name, 0, 0.0, True)
        assert not spec.failed(in_time)
        assert spec.failed(replace(in_time, t_end=limit_s + 0.01))


def test_a_write_has_to_be_read_back(recording: Recording) -> None:
    kube = Keeping(endpointslices=slices("node-a1", "node-b1"), pods=pods(ready=True))
    kube.forgetful = True
    samples = probed(recording, kube)
    assert failed(samples) == {WRITE.name}
    assert "what was written is not there" in samples[WRITE.name].error


def test_a_new_deployment_has_to_get_a_pod(recording: Recording) -> None:
    kube = Keeping(endpointslices=slices("node-a1", "node-b1"), pods=pods(ready=False))
    assert failed(probed(recording, kube)) == {CANARY.name}
    made = [
        body
        for method, path, body in kube.sent
        if (method, path.rpartition("/")[2]) == ("POST", "deployments")
    ]
    assert made
    assert {body["spec"]["replicas"] for body in made} == {1}


def test_what_probes_change_has_their_label_and_is_nothing_that_is_looked_for(recording: Recording) -> None:
    kube = Keeping(endpointslices=slices("node-a1", "node-b1"), pods=pods(ready=True))
    probed(recording, kube)
    written = [body for _, path, body in kube.sent if path.startswith(f"{CONFIG_MAPS}/")]
    assert written
    assert all(PROBE_LABEL in body["metadata"]["labels"] for body in written)
    assert not any(LEDGER_LABEL in body["metadata"]["labels"] for body in written)
    # Of workload/ what was handed in is compared, of the ledger what has its label.
    recorded = reference().parts
    looked = {path for look in recorded["objectslooks"] for path in look["digests"]}
    looked |= {each["name"] for each in recorded["restoredrecords"]}
    assert looked
    assert not [path for path in looked if path.rpartition("/")[2].startswith("probe-")]


def test_sixty_records_come_at_once_and_then_one_every_half_second(recording: Recording) -> None:
    kube = Keeping()
    ledger = RecordLedger(recording, cast(Any, kube), "one", PLACE, "serving", b"key")
    with ledger:
        first = len([body for method, _, body in kube.sent if method == "POST"])
        threading.Event().wait(1.75)
    assert first >= 60
    later = {number for number in map(_number, kube.sent) if number > 60}
    assert later <= set(range(61, 66))
    assert len(later) in (3, 4)


def _number(sent: tuple[str, str, Any]) -> int:
    """The number of the operation that made an object."""
    method, _, body = sent
    return int(body["metadata"]["name"].rpartition("-")[2][1:]) if method == "POST" else 0


def test_records_are_config_maps_and_models_with_the_label(recording: Recording) -> None:
    kube = Keeping()
    with RecordLedger(recording, cast(Any, kube), "one", PLACE, "serving", b"key"):
        pass
    made = {path for method, path, _ in kube.sent if method == "POST"}
    assert made == {CONFIG_MAPS, MODELS}
    assert all(
        body["metadata"]["labels"] == {LEDGER_LABEL: "serving"} for m, _, body in kube.sent if m == "POST"
    )
    models = [body for method, path, body in kube.sent if (method, path) == ("POST", MODELS)]
    for model in models:
        name = model["metadata"]["name"]
        assert model["spec"].keys() == {"seq", "written", "seal"}
        (status,) = [body for method, path, body in kube.sent if path == f"{MODELS}/{name}/status"]
        assert status["status"].keys() == {"seq", "written", "seal"}
        owned = [
            reference
            for method, path, body in kube.sent
            if (method, path) == ("POST", CONFIG_MAPS)
            for reference in body["metadata"].get("ownerReferences", ())
            if reference["name"] == name
        ]
        assert [each["uid"] for each in owned] == [f"uid of {name}"]


def test_some_records_are_deleted_again(recording: Recording) -> None:
    kube = Keeping()
    with RecordLedger(recording, cast(Any, kube), "one", PLACE, "serving", b"key"):
        pass
    deleted = [path for method, path, _ in kube.sent if method == "DELETE"]
    made = [f"{path}/{body['metadata']['name']}" for method, path, body in kube.sent if method == "POST"]
    assert deleted
    assert set(deleted) < set(made)


def test_on_record_the_first_sixty_are_there_before_the_first_backup() -> None:
    recorded = reference().parts
    lanes = {each["cluster"] for each in recorded["scriptruns"] if each["script"] == "backup"}
    assert len(lanes) == 3
    for lane in lanes:
        begun = min(
            each["t"]
            for each in recorded["scriptruns"]
            if (each["cluster"], each["script"]) == (lane, "backup")
        )
        there = [
            each
            for each in recorded["ledgerwrites"]
            if (each["cluster"], each["ledger"], each["verb"], each["part"])
            == (lane, "serving", "create", "")
            and each["t_end"] is not None
            and each["t_end"] <= begun
        ]
        assert len(there) >= 60
