"""The pods a job consists of."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .job import Job
from .names import GANG_GATE, INDEX_LABEL, JOB_LABEL
from .rendezvous import environment


def build_pod(job: Job, index: int) -> dict[str, Any]:
    """The pod with this index: the template, and over it what makes it a member of the job."""
    template = copy.deepcopy(dict(job.template))
    meta = template.get("metadata") or {}
    spec = template.get("spec") or {}
    spec["restartPolicy"] = "Never"
    spec["automountServiceAccountToken"] = True
    spec["hostname"] = job.pod_name(index)
    spec["subdomain"] = job.key.name
    if job.priority_class and not spec.get("priorityClassName"):
        spec["priorityClassName"] = job.priority_class
    if job.gang:
        spec["schedulingGates"] = [*(spec.get("schedulingGates") or ()), {"name": GANG_GATE}]
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            container["env"] = _overlaid(container.get("env") or [], environment(job, index))
    labels = {**(meta.get("labels") or {}), JOB_LABEL: job.key.name, INDEX_LABEL: str(index)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": job.pod_name(index),
            "namespace": job.key.namespace,
            "labels": labels,
            "annotations": meta.get("annotations") or {},
            "ownerReferences": [job.owner_reference()],
        },
        "spec": spec,
    }


def _overlaid(env: list[dict[str, Any]], ours: Mapping[str, str]) -> list[dict[str, Any]]:
    kept = [entry for entry in env if entry.get("name") not in ours]
    # Ours come first: a template's variable may refer to them as $(NAME).
    return [{"name": name, "value": value} for name, value in ours.items()] + kept
