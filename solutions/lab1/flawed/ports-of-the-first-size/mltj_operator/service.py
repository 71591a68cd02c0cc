"""The headless Service of a job."""

from __future__ import annotations

from typing import Any

from .job import Job
from .names import JOB_LABEL
from .rendezvous import PORT_NAME, service_port


def build_service(job: Job) -> dict[str, Any]:
    """The headless Service that gives the pods their names."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": job.key.name,
            "namespace": job.key.namespace,
            "labels": {JOB_LABEL: job.key.name},
            "ownerReferences": [job.owner_reference()],
        },
        "spec": {
            "clusterIP": "None",
            # Workers look for the master before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": {JOB_LABEL: job.key.name},
            "ports": [{"name": PORT_NAME, **service_port()}, *_worker_ports(job)],
        },
    }


def _worker_ports(job: Job) -> list[dict[str, Any]]:
    first = service_port()["port"] + 1
    return [{"name": f"worker-{i}", "port": first + i} for i in range(job.nodes)]
