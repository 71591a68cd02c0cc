"""Endpoints of a Service, told of its EndpointSlices."""

from collections.abc import Mapping
from typing import Any

_SERVICE = "kubernetes.io/service-name"
_MANAGED_BY, _CONTROLLER = "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"


def of_service(name: str) -> dict[str, str]:
    """The query for the EndpointSlices of a Service."""
    return {"labelSelector": f"{_SERVICE}={name}"}


def ready_addresses(
    slices: Mapping[str, Any], dead_nodes: frozenset[str] = frozenset()
) -> set[tuple[str, str]]:
    """The ready addresses in a list of EndpointSlices, each with its pod, but those on nodes that are dead.

    A simulator of nodes that was started again gives an address a second time: two pods are two.
    Slices that somebody else than the cluster's own controller wrote say whatever he likes.
    """
    return {
        (str(address), str((endpoint.get("targetRef") or {}).get("uid", "")))
        for each in slices["items"]
        if (each["metadata"].get("labels") or {}).get(_MANAGED_BY) == _CONTROLLER
        for endpoint in each.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") and endpoint.get("nodeName") not in dead_nodes
        for address in endpoint.get("addresses") or ()
    }
