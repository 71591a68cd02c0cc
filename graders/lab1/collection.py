"""Whether the cluster's garbage collector takes away what a deleted job leaves."""

from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.lab1.api import job_manifest, jobs_path
from graders.polling import NotYet, TimedOut, wait_for

_JOB = "control"
LEARNS_WITHIN_S = 120.0
"""A garbage collector looks every 30 s which kinds there are."""


def collects(kube: Kube, namespace: str, within_s: float) -> str:
    """Let a suspended job and its child be there, delete the job; says what is wrong if the child stays."""
    path = resource_path("v1", "configmaps", namespace=namespace)
    job = kube.create(jobs_path(namespace), job_manifest(namespace, _JOB, run_policy={"suspend": True}))
    owner = {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "name": _JOB,
        "uid": job["metadata"]["uid"],
    }
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _JOB, "ownerReferences": [owner]},
    }
    kube.create(path, child)
    kube.delete(jobs_path(namespace, _JOB), propagationPolicy="Background")

    def collected() -> None:
        if kube.find(f"{path}/{_JOB}") is not None:
            raise NotYet("the garbage collector leaves children of deleted jobs behind")

    try:
        wait_for(collected, timeout_s=within_s, interval_s=0.1)
    except TimedOut as mismatch:
        return str(mismatch)
    return ""


def await_collector(kube: Kube, namespace: str) -> None:
    """Wait until it does, in a cluster whose controllers ran before there were jobs.

    Raises:
        InfraFault: it does not.
    """
    if problem := collects(kube, namespace, LEARNS_WITHIN_S):
        raise InfraFault(problem, fix="look at the cluster's kube-controller-manager")
