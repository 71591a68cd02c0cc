"""Objects that break no rule, *restricted* included: what is tried is one of them, changed; pure."""

import copy
from typing import Any

Manifest = dict[str, Any]


def config_map(name: str, namespace: str) -> Manifest:
    """A ConfigMap that nobody reads."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"said": name},
    }


def service(name: str, *, namespace: str, **spec: Any) -> Manifest:
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


def pod(name: str, image: str, namespace: str) -> Manifest:
    """A pod that breaks no rule."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(image)}


FAILED_AFTER_S = 10
"""So long a Deployment of the grader's may stand still before its controller says so."""


def deployment(name: str, image: str, namespace: str) -> Manifest:
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
