"""Steps of custom resources on a real API server: what they do, that it is taken back, and who may do it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from graders.chaos.account import account_of
from graders.chaos.injecting import Injector
from graders.chaos.journal import ActionFailed, RunJournal
from graders.chaos.pauses import Deleted, Overdue, Pauses
from graders.chaos.selections import ALL, FIXED, PodSelection
from graders.chaos.steps import (
    ChaosStep,
    DrainNode,
    FailPods,
    InTurn,
    KillPods,
    Pause,
    SideBySide,
    Taint,
    TaintNode,
)
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, wait_for
from tests.cluster.controlled import WITHIN_S, Controlled, controlled

pytestmark = pytest.mark.cluster

CHAOS = "chaos"
PODS = resource_path("v1", "pods", namespace="serving")
NODE = resource_path("v1", "nodes", name="node-a1")
WHERE = "chaos.yaml:9"
PREDICTOR = PodSelection(WHERE, ("serving",), "app=predictor")
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "predictor", "namespace": "serving"},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "predictor"}},
        "template": {
            "metadata": {"labels": {"app": "predictor"}},
            "spec": {"containers": [{"name": "predictor", "image": "predictor:7"}]},
        },
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    with controlled(tmp_path_factory.mktemp("state")) as world:
        for name in ("serving", CHAOS):
            assert world.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).ok
        assert world.kube.apply(DEPLOYMENT).ok
        yield world


@pytest.fixture
def kube(world: Controlled) -> Kube:
    all_ready(world.kube)
    return world.kube


def pods(kube: Kube) -> dict[str, dict[str, Any]]:
    """Pods of the predictor that are not going, by their uid."""
    found = kube.get(PODS, labelSelector="app=predictor")["items"]
    return {pod["metadata"]["uid"]: pod for pod in found if not pod["metadata"].get("deletionTimestamp")}


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def until(holds: Callable[[], bool], what: str) -> None:
    def probe() -> None:
        if not holds():
            raise NotYet(what)

    wait_for(probe, timeout_s=WITHIN_S, interval_s=0.05)


def all_ready(kube: Kube) -> None:
    until(lambda: sum(map(is_ready, pods(kube).values())) == 4, "four ready pods")


class Watching(Pauses):
    """Pauses that are over as soon as somebody has looked."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(time.monotonic, 60)
        self._look = look

    def wait(self, seconds: float, due: float = 0.0) -> None:
        del seconds, due
        self._look()


def done(kube: Kube, step: ChaosStep, pauses: Pauses | None = None, *, dry: bool = False) -> dict[str, Any]:
    """Do a step; its journal."""
    journal = RunJournal({}, "test", lambda _: None)
    waiting = pauses or Pauses(time.monotonic, 60)
    try:
        Injector(kube, journal, waiting, Random(7), dry).do(step)
    finally:
        written: dict[str, Any] = json.loads(journal.text("completed"))
    return written


def test_so_many_pods_are_killed(kube: Kube) -> None:
    before = pods(kube)
    selection = PodSelection(WHERE, ("serving",), "app=predictor", mode=FIXED, value=2)
    (action,) = done(kube, KillPods("kill", selection))["run"]
    assert action["status"] == "succeeded"
    gone = {before[uid]["metadata"]["name"] for uid in before.keys() - pods(kube).keys()}
    assert gone == set(action["output"])
    assert len(gone) == 2


def test_a_selector_without_match_is_told_with_its_line(kube: Kube) -> None:
    before = pods(kube)
    with pytest.raises(ActionFailed, match=r"chaos.yaml:9: no pod matches labels app=predicter") as caught:
        done(kube, KillPods("kill", PodSelection(WHERE, ("serving",), "app=predicter")))
    assert "fix: compare the selector" in str(caught.value)
    assert pods(kube).keys() == before.keys()


def test_failing_pods_are_held_unready_and_recover(kube: Kube) -> None:
    seen: list[dict[str, Any]] = []

    def look() -> None:
        until(lambda: sum(map(is_ready, pods(kube).values())) == 3, "three ready pods")
        seen.extend(pod for pod in pods(kube).values() if not is_ready(pod))

    written = done(kube, FailPods("fail", PREDICTOR, 5), Watching(look))
    (failing,) = seen
    assert failing["spec"]["containers"][0]["image"] == "pause"
    (rollback,) = written["rollbacks"]
    assert rollback["output"] == [failing["metadata"]["name"]]
    recovered = pods(kube)[failing["metadata"]["uid"]]
    assert recovered["spec"]["containers"][0]["image"] == "predictor:7"
    assert not recovered["metadata"].get("annotations")
    all_ready(kube)


def test_what_is_aborted_is_taken_back(kube: Kube) -> None:
    pauses = Pauses(time.monotonic, 60, abort=True)
    with pytest.raises(Deleted):
        done(kube, InTurn((Pause(0.1), FailPods("fail", PREDICTOR, 30), KillPods("kill", PREDICTOR))), pauses)
    assert pauses.aborted is not None
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(kube).values()} == {"predictor:7"}
    all_ready(kube)


def test_side_by_side_ends_at_its_deadline_and_the_next_follows(kube: Kube) -> None:
    before = pods(kube)
    together = SideBySide((FailPods("fail", PREDICTOR, 30), Pause(30)), deadline_s=0.5)
    written = done(kube, InTurn((together, KillPods("kill", PREDICTOR))))
    assert [each["activity"]["name"] for each in written["run"]] == ["fail", "kill"]
    assert [each["status"] for each in written["rollbacks"]] == ["succeeded"]
    assert len(before.keys() - pods(kube).keys()) == 1


def test_a_run_that_takes_too_long_is_taken_back(kube: Kube) -> None:
    with pytest.raises(Overdue):
        done(kube, FailPods("fail", PREDICTOR, 30), Pauses(time.monotonic, 0.5))
    all_ready(kube)


def test_a_node_is_drained_and_uncordoned(kube: Kube) -> None:
    def look() -> None:
        assert kube.get(NODE)["spec"]["unschedulable"] is True
        assert not [pod for pod in pods(kube).values() if pod["spec"].get("nodeName") == "node-a1"]

    there = {p["metadata"]["name"] for p in pods(kube).values() if p["spec"].get("nodeName") == "node-a1"}
    written = done(kube, DrainNode("node-drain", "node-a1", 5, WHERE), Watching(look))
    assert there <= set(written["run"][0]["output"])
    assert "unschedulable" not in kube.get(NODE)["spec"]


def test_a_node_that_was_cordoned_before_stays_so(kube: Kube) -> None:
    kube.patch(NODE, {"spec": {"unschedulable": True}})
    try:
        written = done(kube, DrainNode("node-drain", "node-a1", 0, WHERE))
        assert written["rollbacks"] == []
        assert kube.get(NODE)["spec"]["unschedulable"] is True
    finally:
        kube.patch(NODE, {"spec": {"unschedulable": None}})


def test_a_node_is_tainted_and_untainted(kube: Kube) -> None:
    taints = (Taint("one", "two", "NoSchedule"), Taint("three", "", "NoSchedule"))

    def look() -> None:
        there = {each["key"]: each.get("value", "") for each in kube.get(NODE)["spec"]["taints"]}
        assert there == {"own": "", "one": "two", "three": ""}

    kube.patch(NODE, {"spec": {"taints": [{"key": "own", "effect": "PreferNoSchedule"}]}})
    try:
        done(kube, TaintNode("node-taint", "node-a1", taints, 5, WHERE), Watching(look))
        assert [each["key"] for each in kube.get(NODE)["spec"]["taints"]] == ["own"]
        with pytest.raises(ActionFailed, match="has a taint own already"):
            done(kube, TaintNode("node-taint", "node-a1", (Taint("own", "", "PreferNoSchedule"),), 5, WHERE))
    finally:
        kube.patch(NODE, {"spec": {"taints": None}})


def test_a_node_that_is_not_there_is_told_with_the_line(kube: Kube) -> None:
    with pytest.raises(ActionFailed, match=r"chaos.yaml:9: there is no node node-z9"):
        done(kube, DrainNode("node-drain", "node-z9", 5, WHERE))


def test_dry_selects_and_changes_nothing(kube: Kube) -> None:
    before = {uid: pod["metadata"]["resourceVersion"] for uid, pod in pods(kube).items()}
    everybody = PodSelection(WHERE, ("serving",), "app=predictor", mode=ALL)
    steps = (
        KillPods("kill", everybody),
        FailPods("fail", everybody, 30),
        Pause(30),
        DrainNode("node-drain", "node-a1", 30, WHERE),
        TaintNode("node-taint", "node-a1", (Taint("one", "", "NoExecute"),), 30, WHERE),
    )
    written = done(kube, InTurn(steps), dry=True)
    assert len(written["run"][0]["output"]) == 4
    assert written["rollbacks"] == []
    assert {uid: pod["metadata"]["resourceVersion"] for uid, pod in pods(kube).items()} == before
    assert not kube.get(NODE)["spec"].get("taints")


def test_rbac_of_the_service_account_decides(kube: Kube, tmp_path: Path) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "runner", "namespace": CHAOS},
    }
    rbac = "rbac.authorization.k8s.io"
    place = {"name": "runner", "namespace": "serving"}
    role = {
        "apiVersion": f"{rbac}/v1",
        "kind": "Role",
        "metadata": place,
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    }
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": place,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "runner"},
        "subjects": [{"kind": "ServiceAccount", "name": "runner", "namespace": CHAOS}],
    }
    for each in (account, role, binding):
        assert kube.apply(each).ok
    runner = account_of(kube, CHAOS, "runner")
    assert runner.user == "system:serviceaccount:chaos:runner"
    learner = runner.kube(tmp_path)

    def may_list() -> bool:
        return learner.request("GET", PODS).ok

    until(may_list, "the right to list pods")
    before = pods(kube)
    with pytest.raises(ActionFailed, match=r"chaos.yaml:9: .*403 .*system:serviceaccount:chaos:runner"):
        done(learner, KillPods("kill", PREDICTOR))
    assert pods(kube).keys() == before.keys()
