"""What counts as served: addresses that the cluster's own controller found to be those of ready pods."""

from __future__ import annotations

from typing import Any

from graders.kube.endpoints import ready_addresses


def slices(manager: str, *, ready: bool = True, node: str = "node-a1") -> dict[str, Any]:
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "nodeName": node}
    labels = {"endpointslice.kubernetes.io/managed-by": manager} if manager else {}
    return {"items": [{"metadata": {"labels": labels}, "endpoints": [endpoint]}]}


def test_ready_addresses_of_live_nodes_count() -> None:
    ours = "endpointslice-controller.k8s.io"
    assert ready_addresses(slices(ours)) == {"10.0.0.1"}
    assert ready_addresses(slices(ours, ready=False)) == set()
    assert ready_addresses(slices(ours), frozenset({"node-a1"})) == set()


def test_addresses_that_somebody_wrote_down_are_nobody() -> None:
    assert ready_addresses(slices("")) == set()
    assert ready_addresses(slices("somebody")) == set()
    assert ready_addresses({"items": [{"metadata": {}, "endpoints": None}]}) == set()
