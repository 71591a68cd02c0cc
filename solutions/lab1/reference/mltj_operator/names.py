"""Names this operator shares with the API server, its users and its pods."""

from __future__ import annotations

GROUP = "training.mod201.dev"
VERSION = "v1alpha1"
PLURAL = "mltrainingjobs"
KIND = "MLTrainingJob"
API_VERSION = f"{GROUP}/{VERSION}"

JOB_LABEL = f"{GROUP}/job-name"
INDEX_LABEL = f"{GROUP}/replica-index"
GANG_GATE = f"{GROUP}/gang"
MASTER_PORT = 29500

COMPONENT = "mltj-operator"


def pod_name(job: str, index: int) -> str:
    """Name of the pod with this index; names carry identity, so a pod can't be made twice."""
    return f"{job}-{index}"


def job_path(namespace: str, name: str) -> str:
    """Path of one MLTrainingJob."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


def core_path(plural: str, namespace: str, name: str = "") -> str:
    """Path of a namespaced core object, or of the collection when `name` is empty."""
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    return f"{path}/{name}" if name else path


def lease_path(namespace: str, name: str = "") -> str:
    """Path of a Lease, or of the collection when `name` is empty."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return f"{path}/{name}" if name else path


ALL_JOBS = f"/apis/{API_VERSION}/{PLURAL}"
ALL_PODS = "/api/v1/pods"
ALL_SERVICES = "/api/v1/services"
ALL_NODES = "/api/v1/nodes"
