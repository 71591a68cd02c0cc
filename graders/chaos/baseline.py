"""What an experiment must leave as it was: specs, labels, annotations, taints, as digests by object."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from graders.kube.client import Kube
from graders.kube.paths import resource_path

KEPT = (
    ("apps/v1", "deployments"),
    ("v1", "services"),
    ("v1", "configmaps"),
    ("v1", "secrets"),
    ("policy/v1", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "networkpolicies"),
)
"""The kinds in a namespace, by version and plural; a lab has more of its own."""
Kinds = tuple[tuple[str, str], ...]
_NODES = resource_path("v1", "nodes")
_CLUSTERS_OWN = "node.kubernetes.io/"
_CLUSTERS = re.compile(r"(^|\.)(kubernetes|k8s)\.io/")
"""Annotations that Kubernetes itself writes, such as the number of a rollout."""


def baseline(kube: Kube, namespaces: Iterable[str], kinds: Kinds = KEPT) -> dict[str, str]:
    """The digest of what somebody wrote into each object of some namespaces, and each node, by its path."""
    found = {f"{_NODES}/{item['metadata']['name']}": _digest(item) for item in kube.get(_NODES)["items"]}
    kept = ((namespace, *kind) for namespace in namespaces for kind in kinds)
    for namespace, version, plural in kept:
        path = resource_path(version, plural, namespace=namespace)
        for item in kube.get(path)["items"]:
            found[f"{path}/{item['metadata']['name']}"] = _digest(item)
    return found


def _digest(item: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    spec = kept.get("spec")
    if isinstance(spec, dict):
        # Those of the cluster itself come and go with what a node reports, and say when they were set.
        taints = [each for each in spec.get("taints") or () if not each["key"].startswith(_CLUSTERS_OWN)]
        kept["spec"] = {
            **spec,
            "taints": sorted(taints, key=str),
            "unschedulable": bool(spec.get("unschedulable")),
        }
    kept["labels"] = item["metadata"].get("labels") or {}
    annotations = item["metadata"].get("annotations") or {}
    kept["annotations"] = {key: value for key, value in annotations.items() if not _CLUSTERS.search(key)}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
