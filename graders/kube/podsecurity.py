"""The *restricted* Pod Security Standard, told of plain objects, by the reference of Kubernetes; pure."""

from collections.abc import Mapping
from typing import Any

from graders.kube.pointers import at_pointer

_VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_PROFILES = ("RuntimeDefault", "Localhost")


def is_restricted(pod: Mapping[str, Any]) -> bool:
    """Whether the spec of a pod meets the *restricted* standard, by the table of its controls."""
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        return False
    if any(set(volume) - {"name"} - _VOLUMES for volume in pod.get("volumes") or ()):
        return False
    shared = pod.get("securityContext") or {}
    containers = [
        each for key in ("initContainers", "containers", "ephemeralContainers") for each in pod.get(key) or ()
    ]
    return all(_is_restricted_container(each, shared) for each in containers)


def _is_restricted_container(container: Mapping[str, Any], shared: Mapping[str, Any]) -> bool:
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    profile = at_pointer(own, ("seccompProfile", "type")) or at_pointer(shared, ("seccompProfile", "type"))
    return (
        not own.get("privileged")
        and own.get("allowPrivilegeEscalation") is False
        and own.get("runAsNonRoot", shared.get("runAsNonRoot")) is True
        and own.get("runAsUser", shared.get("runAsUser")) != 0
        and profile in _PROFILES
        and "ALL" in (capabilities.get("drop") or ())
        and set(capabilities.get("add") or ()) <= {"NET_BIND_SERVICE"}
        and not any(port.get("hostPort") for port in container.get("ports") or ())
    )
