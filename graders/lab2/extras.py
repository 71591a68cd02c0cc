"""What the grader commits to an environment's extra/: objects that are good, and some that break a rule."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from graders.lab2.names import NAMESPACE

Manifest = dict[str, Any]


def extra_files(environment: str, objects: Mapping[str, Manifest]) -> dict[str, bytes | None]:
    """The files of clusters/<environment>/extra/ with these objects, by their paths."""
    folder = f"clusters/{environment}/extra"
    listed = {"resources": sorted(objects)}
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **listed}
    written = {"kustomization.yaml": head, **objects}
    return {
        f"{folder}/{name}": (json.dumps(item, indent=2) + "\n").encode() for name, item in written.items()
    }


def without_extras(files: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The same files as they are handed in: no objects."""
    empty = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": []}
    text = (json.dumps(empty, indent=2) + "\n").encode()
    return {path: text if path.endswith("/kustomization.yaml") else None for path in files}


def config_map(name: str, namespace: str = NAMESPACE) -> Manifest:
    """A ConfigMap that nobody reads."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"said": name},
    }


def service(name: str, *, namespace: str = NAMESPACE, **spec: Any) -> Manifest:
    """A ClusterIP Service; `spec` changes it."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    whole = {"selector": {"app.kubernetes.io/name": name}, "ports": ports, **spec}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": whole,
    }


def container(image: str, name: str = "main") -> Manifest:
    """A container that breaks no rule, *restricted* included."""
    return {
        "name": name,
        "image": image,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def pod_spec(image: str) -> Manifest:
    """The spec of a pod that breaks no rule."""
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(image)],
    }


def pod(name: str, image: str, namespace: str = NAMESPACE) -> Manifest:
    """A pod that breaks no rule."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(image)}


FAILED_AFTER_S = 10
"""So long a Deployment of the grader's may stand still before its controller says so."""


def deployment(name: str, image: str, namespace: str = NAMESPACE) -> Manifest:
    """A Deployment of one such pod."""
    return workload_of("Deployment", pod(name, image, namespace))


def workload_of(kind: str, made: Manifest) -> Manifest:
    """A workload of `kind` whose template is the pod `made`."""
    version = "batch/v1" if kind == "Job" else "apps/v1"
    whole = _workload(version, kind, made)
    if kind == "StatefulSet":
        whole["spec"]["serviceName"] = made["metadata"]["name"]
    if kind == "Deployment":
        # Where only its pods are denied, an engine that waits for its health learns that it has none.
        whole["spec"]["progressDeadlineSeconds"] = FAILED_AFTER_S
    if kind == "Job":
        template = whole["spec"]["template"]
        template["spec"]["restartPolicy"] = "Never"
        whole["spec"] = {"backoffLimit": 0, "template": template}
    return whole


def _workload(version: str, kind: str, made: Manifest) -> Manifest:
    metadata, labels = made["metadata"], made["metadata"]["labels"]
    template = {"metadata": {"labels": dict(labels)}, "spec": copy.deepcopy(made["spec"])}
    spec = {"replicas": 1, "selector": {"matchLabels": dict(labels)}, "template": template}
    meta = {"name": metadata["name"], "namespace": metadata["namespace"]}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
