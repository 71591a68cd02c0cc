"""The learner's workload on a cluster, and where the grader's canaries go."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.endpoints import of_service, ready_addresses
from graders.kube.paths import resource_path
from graders.lab3.names import (
    CANARIES,
    MODELS_CRD,
    MODELS_GROUP,
    MODELS_VERSION,
    PREDICTOR,
    SERVING,
)
from graders.polling import NotYet, TimedOut, wait_for
from graders.submissions.manifests import Manifest

UP_WITHIN_S = 30.0
SLICES = resource_path("discovery.k8s.io/v1", "endpointslices", namespace=SERVING)
DEPLOYMENT = resource_path("apps/v1", "deployments", namespace=SERVING, name=PREDICTOR)
_CRD = resource_path("apiextensions.k8s.io/v1", "customresourcedefinitions", name=MODELS_CRD)
_MODELS = resource_path(f"{MODELS_GROUP}/{MODELS_VERSION}", "models", namespace=SERVING)
SERVICE = resource_path("v1", "services", namespace=SERVING, name=PREDICTOR)
OF_PREDICTOR = of_service(PREDICTOR)


def apply_workload(kube: Kube, manifests: Sequence[Manifest], scale: float) -> str:
    """Apply the workload; what is wrong with it in words, empty once all replicas are ready addresses.

    Raises:
        InfraFault: the API server does not answer.
    """
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CANARIES}})
    if problem := apply_all(kube, manifests, scale):
        return problem
    try:
        wait_for(lambda: _up(kube), timeout_s=UP_WITHIN_S * scale, interval_s=0.1)
    except TimedOut as mismatch:
        return f"within {UP_WITHIN_S:g} s {mismatch}"
    return ""


def apply_all(kube: Kube, manifests: Sequence[Manifest], scale: float) -> str:
    """Apply manifests; which is refused and why, if that lasts: what is new is served a moment later.

    Raises:
        InfraFault: the API server does not answer.
    """
    for manifest in manifests:

        def accepted(data: dict[str, Any] = manifest.data) -> None:
            answer = kube.apply(data)
            if not answer.ok:
                raise NotYet(f"{answer.code} {answer.message}")

        try:
            wait_for(accepted, timeout_s=5.0 * scale, interval_s=0.1)
        except TimedOut as mismatch:
            return f"{manifest.file}:{manifest.line}: the API server refuses it: {mismatch}"
    return ""


def _up(kube: Kube) -> None:
    try:
        kube.get(_CRD)
        kube.get(_MODELS, limit=1)
        selector = kube.get(SERVICE)["spec"].get("selector")
        replicas = int(kube.get(DEPLOYMENT)["spec"]["replicas"])
        ready = len(ready_addresses(kube.get(SLICES, **OF_PREDICTOR)))
    except ApiRefused as error:
        raise NotYet(f"the workload has no such object: {error}") from error
    if not selector:
        raise NotYet(f"Service {PREDICTOR} has no selector, so that its addresses are those of no pods")
    if not 2 <= replicas <= 8:
        raise NotYet(f"Deployment {PREDICTOR} has {replicas} replicas, where 2 to 8 are asked for")
    if ready < replicas:
        raise NotYet(f"{ready} of {replicas} replicas are ready addresses of Service {PREDICTOR}")


def digests(kube: Kube, manifests: Sequence[Manifest]) -> dict[str, str]:
    """What each object of the workload holds, as a digest by its path; empty where it is not there."""
    found = {}
    for manifest in manifests:
        try:
            path = kube.path_for(manifest.data)
            item = kube.find(path)
        except (ApiRefused, InfraFault):
            path, item = f"{manifest.kind}/{manifest.name}", None
        found[path] = _digest(item, manifest.data["metadata"]) if item is not None else ""
    return found


def _digest(item: Mapping[str, Any], written: Mapping[str, Any]) -> str:
    """Of all that somebody wrote, with the labels and annotations that are in `written`."""
    kept = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    if item.get("kind") == "Service":
        made = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
        kept["spec"] = {key: value for key, value in item["spec"].items() if key not in made}
    if item.get("kind") in ("ServiceAccount", "Namespace"):
        kept = {"kind": item["kind"]}
    for of in ("labels", "annotations"):
        there = item["metadata"].get(of) or {}
        kept[of] = {key: there.get(key) for key in written.get(of) or {}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
