from decimal import Decimal
from typing import Any

from builders import a_job, raw_pod

from mltj_operator.gang import admitted, claimed
from mltj_operator.names import GANG_GATE
from mltj_operator.pods import parse_pod
from mltj_operator.room import Room, requests

GPU = {"limits": {"nvidia.com/gpu": "1"}}


def node(name: str, gpus: int, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"host": name}},
        "spec": spec,
        "status": {"allocatable": {"nvidia.com/gpu": str(gpus), "pods": "10"}},
    }


def pod(name: str, *, gated: bool = False, on: str = "", phase: str = "Pending") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "c", "resources": GPU}]}
    if gated:
        spec["schedulingGates"] = [{"name": GANG_GATE}]
    if on:
        spec["nodeName"] = on
    return raw_pod(name, phase, spec=spec)


def names(nodes: list[dict[str, Any]], pods: list[dict[str, Any]], at_least: int) -> list[str]:
    job = a_job(nodes=4, policy={"schedulingPolicy": {"minAvailable": at_least}})
    own = [parse_pod(raw, "train") for raw in pods if raw["metadata"]["name"].startswith("train-")]
    return [p.name for p in admitted(job, own, Room(nodes, pods))]


WAITING = [pod(f"train-{index}", gated=True) for index in range(4)]


def test_none_start_while_too_few_fit() -> None:
    assert names([node("a", 3)], WAITING, 4) == []


def test_all_that_fit_start_once_enough_do() -> None:
    assert names([node("a", 2), node("b", 2)], WAITING, 4) == [f"train-{i}" for i in range(4)]
    assert names([node("a", 3)], WAITING, 2) == ["train-0", "train-1", "train-2"]


def test_a_replacement_counts_with_those_that_are_up() -> None:
    up = [pod(f"train-{index}", on="a", phase="Running") for index in range(3)]
    assert names([node("a", 4)], [*up, pod("train-3", gated=True)], 4) == ["train-3"]
    assert names([node("a", 3)], [*up, pod("train-3", gated=True)], 4) == []


def test_places_that_are_used_promised_cordoned_or_tainted_are_not_room() -> None:
    taken = [pod("other-0", on="a", phase="Running"), pod("other-1")]
    assert names([node("a", 4)], [*taken, *WAITING], 3) == []
    assert names([node("a", 4, unschedulable=True)], WAITING, 2) == []
    taint = [{"key": "gpu", "effect": "NoSchedule"}]
    assert names([node("a", 4, taints=taint)], WAITING, 2) == []
    finished = pod("other-2", on="a", phase="Succeeded")
    assert len(names([node("a", 4)], [finished, *WAITING], 4)) == 4


def test_selectors_and_tolerations_are_honoured() -> None:
    tainted = node("a", 4, taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    for operator in ({"operator": "Exists"}, {"value": "yes"}):
        allowed = pod("train-0", gated=True)
        allowed["spec"]["tolerations"] = [{"key": "gpu", **operator}]
        assert Room([tainted], []).place(allowed)
    wrong = pod("train-0", gated=True)
    wrong["spec"]["tolerations"] = [{"key": "gpu", "effect": "NoExecute", "operator": "Exists"}]
    assert not Room([tainted], []).place(wrong)
    elsewhere = pod("train-0", gated=True)
    elsewhere["spec"]["nodeSelector"] = {"host": "b"}
    assert not Room([node("a", 4)], []).place(elsewhere)


def test_a_gang_let_go_in_part_keeps_its_claim_to_the_rest() -> None:
    begun = [pod("other-0"), pod("other-1", gated=True), pod("other-2", gated=True)]
    assert [p["metadata"]["name"] for p in claimed(begun, "uid-train")] == ["other-1", "other-2"]
    assert claimed(begun, "uid-other") == ()
    assert claimed(WAITING, "uid-other") == ()
    over = [pod("other-0", phase="Succeeded"), pod("other-1", gated=True)]
    assert claimed(over, "uid-train") == ()


def test_a_pod_takes_what_its_containers_or_its_greediest_init_container_want() -> None:
    spec = {
        "containers": [{"resources": GPU}, {"resources": {"requests": {"cpu": "500m"}}}],
        "initContainers": [{"resources": {"limits": {"nvidia.com/gpu": "3"}}}, {}],
    }
    assert requests(spec) == {"pods": 1, "nvidia.com/gpu": 3, "cpu": Decimal("0.5")}
