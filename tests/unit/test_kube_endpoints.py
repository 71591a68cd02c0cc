"""What counts as served: addresses that the cluster's own controller found to be those of ready pods."""

from __future__ import annotations

from typing import Any

from graders.kube.endpoints import ready_addresses


def slices(manager: str, *, ready: bool = True, node: str = "node-a1") -> dict[str, Any]:
    conditions, pod = {"ready": ready}, {"kind": "Pod", "uid": "u1"}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": conditions, "nodeName": node, "targetRef": pod}
    labels = {"endpointslice.kubernetes.io/managed-by": manager} if manager else {}
    return {"items": [{"metadata": {"labels": labels}, "endpoints": [endpoint]}]}


def test_ready_addresses_of_live_nodes_count() -> None:
    ours = "endpointslice-controller.k8s.io"
    assert ready_addresses(slices(ours)) == {("10.0.0.1", "u1")}
    assert ready_addresses(slices(ours, ready=False)) == set()
    assert ready_addresses(slices(ours), frozenset({"node-a1"})) == set()


def test_two_pods_that_were_given_one_address_are_two() -> None:
    found = slices("endpointslice-controller.k8s.io")
    (endpoint,) = found["items"][0]["endpoints"]
    found["items"][0]["endpoints"].append({**endpoint, "targetRef": {"uid": "u2"}})
    assert len(ready_addresses(found)) == 2
    # A pod that moves from slice to slice is in both for a moment.
    found["items"] *= 2
    assert len(ready_addresses(found)) == 2


def test_addresses_that_somebody_wrote_down_are_nobody() -> None:
    assert ready_addresses(slices("")) == set()
    assert ready_addresses(slices("somebody")) == set()
    assert ready_addresses({"items": [{"metadata": {}, "endpoints": None}]}) == set()
