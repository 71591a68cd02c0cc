"""The pods and the Service of a job."""

from __future__ import annotations

import copy
from typing import Any

GROUP = "training.mod201.dev"
PORT = 29500

Object = dict[str, Any]


def owned(job: Object) -> list[Object]:
    """The reference that makes a child the job's."""
    return [
        {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "MLTrainingJob",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def service_of(job: Object) -> Object:
    """The headless Service that gives the pods their names."""
    name = job["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "ownerReferences": owned(job)},
        "spec": {
            "clusterIP": "None",
            "selector": {f"{GROUP}/job-name": name},
            "publishNotReadyAddresses": True,
            "ports": [{"port": PORT}],
        },
    }


def pod_of(job: Object, index: int) -> Object:
    """The pod with this index."""
    name, trainer = job["metadata"]["name"], job["spec"]["trainer"]
    template = copy.deepcopy(trainer["template"])
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    env = {
        "PET_NNODES": str(trainer["numNodes"]),
        "PET_NODE_RANK": str(index),
        "PET_MASTER_ADDR": f"{name}-0.{name}.{job['metadata']['namespace']}",
        "PET_MASTER_PORT": str(PORT),
    }
    for container in (*spec.get("containers", []), *spec.get("initContainers", [])):
        kept = [each for each in container.get("env", []) if each["name"] not in env]
        container["env"] = [{"name": key, "value": value} for key, value in env.items()] + kept
    spec.update(restartPolicy="Never", hostname=f"{name}-{index}", subdomain=name)
    policy = job["spec"]["runPolicy"].get("schedulingPolicy") or {}
    if policy.get("priorityClass"):
        spec.setdefault("priorityClassName", policy["priorityClass"])
    mine = {f"{GROUP}/job-name": name, f"{GROUP}/replica-index": str(index)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{index}",
            "labels": {**metadata.get("labels", {}), **mine},
            "annotations": metadata.get("annotations", {}),
            "ownerReferences": owned(job),
        },
        "spec": spec,
    }


def index_of(pod: Object) -> int:
    """The index a pod was made for."""
    return int(pod["metadata"]["labels"][f"{GROUP}/replica-index"])


def exit_code(pod: Object) -> int | None:
    """The first non-zero exit code of its containers; None where none is known."""
    for container in pod["status"].get("containerStatuses", []):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return int(ended["exitCode"])
    return None
