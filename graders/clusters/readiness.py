"""What "ready" means: probes for `wait_for`, the same for a cluster that starts and for one measured."""

from typing import Any

from graders.clusters.provider import SIMULATED, NodeSpec
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet

_CANARY = "kubeproof-canary"


def node_manifest(node: NodeSpec, simulated: str = SIMULATED) -> dict[str, Any]:
    """The Node object of a node that `simulated` plays, with its places as extended resources."""
    places = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    places |= {name: str(count) for name, count in node.resources.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "annotations": {"kubeproof.dev/simulated": simulated},
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": node.zone,
            },
        },
        "status": {"capacity": places, "allocatable": places},
    }


def answers(kube: Kube, path: str) -> None:
    """The API server answers 200 at `path`.

    Raises:
        NotYet: it answers otherwise, or not at all.
    """
    try:
        answer = kube.request("GET", path, timeout_s=5.0)
    except InfraFault as error:
        raise NotYet(str(error)) from error
    if answer.code != 200:
        raise NotYet(f"{path} answers {answer.code}: {answer.message}")


def nodes_ready(kube: Kube, count: int, *, labelled: str = "") -> None:
    """At least `count` nodes are Ready, of all or of those that a label selector takes.

    Raises:
        NotYet: fewer are.
    """
    query = {"labelSelector": labelled} if labelled else {}
    nodes = kube.get("/api/v1/nodes", **query)["items"]
    ready = sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))
        for node in nodes
    )
    if ready < count:
        raise NotYet(f"{ready} of {count} nodes are Ready")


def canary_created(kube: Kube, namespace: str = "default") -> None:
    """A pod can be created, which needs the default ServiceAccount: admission refuses it until then.

    Raises:
        NotYet: the API server refuses the pod.
    """
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _CANARY},
        "spec": {
            "containers": [{"name": "canary", "image": "canary"}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    try:
        kube.create(_pods(namespace), manifest)
    except ApiRefused as error:
        raise NotYet(f"a pod in namespace {namespace}: {error}") from error


def canary_scheduled(kube: Kube, namespace: str = "default") -> None:
    """The pod has a node.

    Raises:
        NotYet: it has none.
    """
    if not kube.get(f"{_pods(namespace)}/{_CANARY}")["spec"].get("nodeName"):
        raise NotYet("the scheduler has not placed a pod")


def canary_removed(kube: Kube, namespace: str = "default") -> None:
    """Take the pod away."""
    kube.delete(f"{_pods(namespace)}/{_CANARY}", gracePeriodSeconds=0)


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"
