"""What of a submission is deployed: its Deployments, with the image that was built from its Dockerfile.

The manifests name an image that no registry has. Whatever it is called, it is replaced by the one that was
built, with the pull policy that fits an image which is on the nodes already; nothing else is changed.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graders.lab1.manifest import Lab1Manifest
from graders.submissions.manifests import Manifest

_KIND = ("apps/v1", "Deployment")


def deployments(manifests: Iterable[Manifest]) -> list[dict[str, Any]]:
    """The Deployments of a submission."""
    return [each.data for each in manifests if (each.data["apiVersion"], each.kind) == _KIND]


def operators(manifests: Iterable[Manifest], wanted: Lab1Manifest) -> list[dict[str, Any]]:
    """Those Deployments whose pods run as the operator."""
    operator = wanted.operator
    return [
        each
        for each in deployments(manifests)
        if each["metadata"].get("namespace") == operator.namespace
        and _pod(each).get("serviceAccountName") == operator.service_account
    ]


def image_of(deployment: Mapping[str, Any]) -> str:
    """The image of its first container: the one that the Dockerfile is for."""
    containers = _pod(deployment).get("containers")
    first = containers[0] if isinstance(containers, list) and containers else {}
    return str(first.get("image") or "") if isinstance(first, Mapping) else ""


def with_image(deployment: Mapping[str, Any], named: str, built: str) -> dict[str, Any]:
    """The Deployment with `built` wherever a container has the image `named`."""
    changed = copy.deepcopy(dict(deployment))
    for container in _containers(_pod(changed)):
        if container.get("image") == named:
            container["image"] = built
            container["imagePullPolicy"] = "Never"
    return changed


def _containers(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("initContainers", "containers"):
        found: Sequence[Any] = pod.get(key) or ()
        yield from (each for each in found if isinstance(each, dict))


def _pod(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    value: Any = deployment
    for step in ("spec", "template", "spec"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
