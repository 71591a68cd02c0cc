"""Reading workloads: which digest they are for, whether they are ready, which pods they make; pure."""

from collections.abc import Mapping
from typing import Any

from graders.kube.pointers import at_pointer


def digest_in(deployment: Mapping[str, Any] | None, container: str) -> str:
    """The digest of the container's image, `sha256:…`; empty where there is none."""
    if not isinstance(deployment, Mapping):
        return ""
    spec = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    for each in spec.get("containers") or ():
        if isinstance(each, Mapping) and each.get("name") == container:
            return str(each.get("image", "")).rpartition("@")[2]
    return ""


def is_ready(deployment: Mapping[str, Any]) -> bool:
    """Whether all replicas are of the present spec and available, and the controller has seen that spec."""
    status, spec = deployment.get("status") or {}, deployment.get("spec") or {}
    wanted = spec.get("replicas", 1)
    counted = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return counted == {wanted} and status.get("observedGeneration") == deployment["metadata"].get(
        "generation"
    )


def why_without_pods(deployment: Mapping[str, Any] | None) -> str:
    """What a Deployment says why its pods cannot be made, after a colon; empty where it says nothing."""
    for each in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if (each.get("type"), each.get("status")) == ("ReplicaFailure", "True"):
            return f": {str(each.get('message'))[:400]}"
    return ""


def pod_spec_of(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pod spec of a pod or of what makes pods; None of anything else."""
    if item.get("kind") == "Pod":
        return item.get("spec") or {}
    steps = ("spec", "jobTemplate", "spec", "template", "spec")
    found = at_pointer(item, steps if item.get("kind") == "CronJob" else ("spec", "template", "spec"))
    return found if isinstance(found, Mapping) else None
