"""R1 to R4, signatures and the *restricted* standard, told of plain objects; pure.

It says what a test of the policies breaks, so that each rule has one that breaks nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graders.lab2.pointers import at_pointer

SIGNATURE, RESTRICTED = "signature", "restricted"
RULES = ("R1", "R2", "R3", "R4", SIGNATURE)

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_PROFILES = ("RuntimeDefault", "Localhost")


def broken(item: Mapping[str, Any], registry: str, unsigned: str) -> frozenset[str]:
    """What an object breaks; `unsigned` is an image whose digest has no signature."""
    return frozenset(_broken(item, registry, unsigned))


def pod_spec_of(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pod spec of a pod or of what makes pods; None of anything else."""
    if item.get("kind") == "Pod":
        return item.get("spec") or {}
    steps = ("spec", "jobTemplate", "spec", "template", "spec")
    found = at_pointer(item, steps if item.get("kind") == "CronJob" else ("spec", "template", "spec"))
    return found if isinstance(found, Mapping) else None


def _broken(item: Mapping[str, Any], registry: str, unsigned: str) -> Iterator[str]:
    if item.get("kind") == "Service":
        spec = item.get("spec") or {}
        if spec.get("type", "ClusterIP") != "ClusterIP" or spec.get("externalIPs"):
            yield "R4"
    pod = pod_spec_of(item)
    if pod is None:
        return
    image = re.compile(re.escape(registry) + r"/.*@sha256:[0-9a-f]{64}")
    bounded = [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
    for container in [*bounded, *(pod.get("ephemeralContainers") or ())]:
        written = str(container.get("image", ""))
        if not image.fullmatch(written):
            yield "R1"
        if written.rpartition("@")[2] == unsigned.rpartition("@")[2]:
            yield SIGNATURE
    for container in bounded:
        named = [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")]
        if any(at_pointer(container, ("resources", *place)) is None for place in named):
            yield "R2"
        if at_pointer(container, ("securityContext", "readOnlyRootFilesystem")) is not True:
            yield "R3"
    if not _is_restricted(pod):
        yield RESTRICTED


def _is_restricted(pod: Mapping[str, Any]) -> bool:
    """Whether a pod meets the standard, by the table of its controls in the reference of Kubernetes."""
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
