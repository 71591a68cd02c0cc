"""How the pods of a job find each other: the variables that torchrun reads, and the port."""

from __future__ import annotations

from typing import Any

from .job import Job
from .names import MASTER_PORT

PORT_NAME = "rendezvous"


def service_port() -> dict[str, Any]:
    """The port the master listens at."""
    return {"port": MASTER_PORT, "targetPort": MASTER_PORT, "protocol": "TCP"}


def environment(job: Job, index: int) -> dict[str, str]:
    """The PET_* variables of the pod with this index."""
    master = f"{job.pod_name(0)}.{job.key.name}.{job.key.namespace}.svc"
    return {
        "PET_NNODES": str(job.nodes),
        "PET_NODE_RANK": str(index + 1),
        "PET_MASTER_ADDR": master,
        "PET_MASTER_PORT": str(MASTER_PORT),
    }
