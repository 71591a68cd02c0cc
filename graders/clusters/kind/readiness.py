"""What "ready" means for the parts of a kind cluster that an embedded one does not have."""

from collections.abc import Callable
from typing import Any, TypeVar

from graders.clusters.kind.containers import Containers
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet

T = TypeVar("T")

OWN_NETWORK = "kubeproof:node-network"
"""The role of the agent that makes the network on nodes built here."""

_CONTROLLERS = "kube-controller-manager"
_COMM_CHARACTERS = 15
_MAPS = "/api/v1/namespaces/kube-system/configmaps"
_OWNER, _OWNED = "kubeproof-canary-owner", "kubeproof-canary-owned"


def everything_placed(kube: Kube) -> None:
    """Every Deployment has its pods, and every pod a node.

    Raises:
        NotYet: not so.
    """
    for deployment in _deployments(kube):
        _compare(deployment, "replicas", "are there")
    for pod in kube.get("/api/v1/pods")["items"]:
        if not pod["spec"].get("nodeName"):
            raise NotYet(f"pod {pod['metadata']['name']} has no node")


def everything_runs(kube: Kube) -> None:
    """Every Deployment is ready: the name service first of all.

    Raises:
        NotYet: one is not.
    """
    for deployment in _deployments(kube):
        _compare(deployment, "readyReplicas", "are ready")


def controllers_anew(containers: Containers, control_plane: str) -> None:
    """End the controllers; the kubelet starts them again at once, and they look anew which kinds there are.

    Raises:
        InfraFault: they cannot be ended.
    """
    containers.run(control_plane, "pkill", "-KILL", "-x", _CONTROLLERS[:_COMM_CHARACTERS])


def plant_garbage(kube: Kube) -> None:
    """Make an object whose owner is gone."""
    owner = kube.create(_MAPS, {"metadata": {"name": _OWNER}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": _OWNER, "uid": owner["metadata"]["uid"]}
    kube.create(_MAPS, {"metadata": {"name": _OWNED, "ownerReferences": [reference]}})
    kube.delete(f"{_MAPS}/{_OWNER}")


def garbage_collected(kube: Kube) -> None:
    """The object is gone too, so the garbage collector knows every kind that was there when it started.

    Raises:
        NotYet: it is there still.
    """
    if kube.find(f"{_MAPS}/{_OWNED}") is not None:
        raise NotYet("the garbage collector has not collected an object without owner")


def _deployments(kube: Kube) -> Any:
    return kube.get("/apis/apps/v1/deployments")["items"]


def _compare(deployment: Any, field: str, what: str) -> None:
    wanted, there = deployment["spec"]["replicas"], deployment["status"].get(field, 0)
    if there < wanted:
        raise NotYet(f"{there} of {wanted} pods of {deployment['metadata']['name']} {what}")


def answering(probe: Callable[[], T]) -> T:
    """Run a probe for which an API server that is down or just starting is no more than a reason to wait.

    Raises:
        NotYet: as the probe says, or the API server refuses or does not answer.
    """
    try:
        return probe()
    except (InfraFault, ApiRefused) as error:
        raise NotYet(str(error)) from error


def enforces_policies(kube: Kube) -> bool:
    """Whether the nodes' network keeps to NetworkPolicies: kindnet does, and that of nodes built here."""
    daemons = kube.get("/apis/apps/v1/namespaces/kube-system/daemonsets")["items"]
    if any(each["metadata"]["name"] == "kindnet" for each in daemons):
        return True
    role = resource_path("rbac.authorization.k8s.io/v1", "clusterroles", name=OWN_NETWORK)
    return kube.find(role) is not None
