"""Reading Deployments: which digest they are for, and whether they are ready; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graders.lab2.names import WEB


def digest_in(deployment: Mapping[str, Any] | None, container: str = WEB) -> str:
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
