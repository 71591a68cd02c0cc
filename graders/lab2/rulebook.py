"""R1 to R4, signatures and the *restricted* standard, told of plain objects; pure.

It says what a test of the policies breaks, so that each rule has one that breaks nothing else.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graders.kube.podsecurity import is_restricted
from graders.kube.pointers import at_pointer
from graders.kube.workloads import pod_spec_of

SIGNATURE, RESTRICTED = "signature", "restricted"
RULES = ("R1", "R2", "R3", "R4", SIGNATURE)


def broken(item: Mapping[str, Any], registry: str, unsigned: str) -> frozenset[str]:
    """What an object breaks; `unsigned` is an image whose digest has no signature."""
    return frozenset(_broken(item, registry, unsigned))


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
    if not is_restricted(pod):
        yield RESTRICTED
