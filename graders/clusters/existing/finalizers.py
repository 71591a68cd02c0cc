"""What holds an object back from going: finalizers that nobody serves any more, and hearts of dead nodes.

All of it is ours: it is in namespaces of a run, of kinds that came with it, or about nodes that it brought.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from graders.kube.client import MERGE_PATCH, Kube
from graders.kube.paths import Target, read_path, resource_path

NODE_LEASES = "kube-node-lease"
"""The namespace in which each node's heart beats."""

_OF_THE_SERVER = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer by which the API server itself takes the objects of a kind away."""


def let_go(kube: Kube, target: Target, item: Mapping[str, Any]) -> None:
    """Take every finalizer off an object that somebody could have put there."""
    finalizers = item["metadata"].get("finalizers") or []
    kept = [each for each in finalizers if each == _OF_THE_SERVER]
    if kept != finalizers:
        # Whoever removes it meanwhile is welcome.
        change = {"metadata": {"finalizers": kept or None}}
        kube.request("PATCH", target.path, body=change, content_type=MERGE_PATCH)


def let_go_of_kind(kube: Kube, crd: Mapping[str, Any]) -> None:
    """Take every finalizer off the objects of a kind; they are the same in each version that is served."""
    spec = crd["spec"]
    for version in spec["versions"]:
        if version.get("served"):
            _let_go_all(kube, f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}")
            return


def let_go_of_namespace(kube: Kube, namespace: str) -> None:
    """Take every finalizer off what is in a namespace, and end the pods that no kubelet ends."""
    end_pods(kube, namespace)
    for group_version, plural in _namespaced(kube):
        _let_go_all(kube, resource_path(group_version, plural, namespace=namespace))


def end_pods(kube: Kube, namespace: str) -> None:
    """Remove the pods of a namespace at once: simulated ones have no kubelet once kwok is gone."""
    pods = resource_path("v1", "pods", namespace=namespace)
    kube.delete(pods, gracePeriodSeconds=0)
    _let_go_all(kube, pods)


def forget_node(kube: Kube, name: str) -> None:
    """What others did for a node of ours: its heart, and pods of DaemonSets that came all the same."""
    kube.delete(resource_path("coordination.k8s.io/v1", "leases", namespace=NODE_LEASES, name=name))
    pods = kube.get("/api/v1/pods", fieldSelector=f"spec.nodeName={name}")["items"]
    for pod in pods:
        metadata = pod["metadata"]
        path = resource_path("v1", "pods", namespace=metadata["namespace"], name=metadata["name"])
        kube.delete(path, {"preconditions": {"uid": metadata["uid"]}}, gracePeriodSeconds=0)


def _let_go_all(kube: Kube, collection: str) -> None:
    target = read_path(collection)
    answer = kube.request("GET", collection)
    if target is None or not answer.ok:
        return
    for item in answer.body.get("items") or ():
        namespace, name = str(item["metadata"].get("namespace") or ""), str(item["metadata"]["name"])
        let_go(kube, replace(target, namespace=namespace, name=name), item)


def _namespaced(kube: Kube) -> Iterator[tuple[str, str]]:
    """Every kind of object that a namespace can hold, and that can be listed and changed."""
    preferred = [group["preferredVersion"]["groupVersion"] for group in kube.get("/apis")["groups"]]
    for version in ("v1", *map(str, preferred)):
        answer = kube.request("GET", f"/apis/{version}" if "/" in version else f"/api/{version}")
        for resource in (answer.body.get("resources") or ()) if answer.ok else ():
            if resource["namespaced"] and {"list", "patch"} <= set(resource["verbs"]):
                yield version, str(resource["name"])
