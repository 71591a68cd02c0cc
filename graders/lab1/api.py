"""Names of the `MLTrainingJob` API, and how to read its objects; no I/O here."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from graders.evidence.records import Object
from graders.kube.paths import resource_path

GROUP = "training.mod201.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "MLTrainingJob"
PLURAL = "mltrainingjobs"
CRD = f"{PLURAL}.{GROUP}"

JOB_NAME = f"{GROUP}/job-name"
REPLICA_INDEX = f"{GROUP}/replica-index"

EXIT_CODE = "kubeproof.dev/exit-code"
"""The annotation that tells a simulated pod how to end."""

INIT_EXIT_CODE = "kubeproof.dev/init-exit-code"
"""The annotation by which its init containers end so, before any other starts."""

DIES = "kubeproof.dev/dies"
"""The annotation of a pod that fails with this code once it is deleted, and goes when the annotation does."""

LINGERS = "kubeproof.dev/lingers"
"""The annotation of a pod that runs on once it is deleted, and goes when the annotation does."""

UNREADY = "kubeproof.dev/unready"
"""The annotation of a simulated pod that runs and is not ready."""

QUEUE = "kueue.x-k8s.io/queue-name"
"""The label by which Kueue takes a job into a queue."""

GPU = "nvidia.com/gpu"
"""The extended resource that limits the room of gangs."""

CONDITIONS = ("Created", "Running", "Restarting", "Suspended", "Complete", "Failed")


def jobs_path(namespace: str, name: str = "", subresource: str = "") -> str:
    """The API path of a namespace's jobs, or of one."""
    return resource_path(API_VERSION, PLURAL, namespace=namespace, name=name, subresource=subresource)


def pods_path(namespace: str, name: str = "", subresource: str = "") -> str:
    """The API path of a namespace's pods, or of one."""
    return resource_path("v1", "pods", namespace=namespace, name=name, subresource=subresource)


def job_manifest(
    namespace: str,
    name: str,
    *,
    nodes: int | None = 2,
    run_policy: Mapping[str, Any] | None = None,
    restart_policy: str | None = None,
    containers: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A job whose template fits a restricted namespace; None leaves a field out."""
    trainer: dict[str, Any] = {
        "template": {"metadata": {}, "spec": {"containers": containers or [container()]}}
    }
    if nodes is not None:
        trainer["numNodes"] = nodes
    if restart_policy is not None:
        trainer["restartPolicy"] = restart_policy
    spec: dict[str, Any] = {"trainer": trainer}
    if run_policy is not None:
        spec["runPolicy"] = dict(run_policy)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def placed(job: Mapping[str, Any], pod: Mapping[str, Any]) -> dict[str, Any]:
    """The job with what its pods need to get onto the grader's own nodes, over what its template says.

    An operator that looks for room before it makes a pod has only the template to look at.
    """
    changed = copy.deepcopy(dict(job))
    spec = changed["spec"]["trainer"]["template"]["spec"]
    spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **pod["nodeSelector"]}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *pod["tolerations"]]
    return changed


def container(name: str = "trainer", env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A training container."""
    return {
        "name": name,
        "image": "registry.example/train:1.0",
        "command": ["python", "train.py"],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def conditions(job: Object) -> dict[str, Mapping[str, Any]]:
    """The conditions of a job by type; what is not shaped like a condition is left out."""
    found = status_field(job, "conditions")
    if not isinstance(found, list):
        return {}
    return {c["type"]: c for c in found if isinstance(c, _OBJECT) and isinstance(c.get("type"), str)}


def is_true(job: Object, condition: str) -> bool:
    """Whether a condition of the job is "True"; of two of that type, the last one says so."""
    status, found = None, status_field(job, "conditions")
    for each in found if isinstance(found, list) else ():
        if isinstance(each, _OBJECT) and each.get("type") == condition:
            status = each.get("status")
    return bool(status == "True")


def is_finished(job: Object) -> bool:
    """Whether the job says it is over."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def status_field(job: Object, *path: str) -> Any:
    """A field of the status, or None where any step of the path is missing."""
    value: Any = job.get("status")
    for step in path:
        if not isinstance(value, _OBJECT):
            return None
        value = value.get(step)
    return value


_OBJECT = (dict, Mapping)
"""What a JSON object is; nearly all are dicts, and to see that takes no look at an abstract class."""


def replica_counts(job: Object, names: Iterable[str]) -> dict[str, Any]:
    """What replicaStatuses says of each name; what it leaves out is 0."""
    counts = status_field(job, "replicaStatuses")
    return {name: counts.get(name) or 0 if isinstance(counts, Mapping) else 0 for name in names}


def controller_uid(item: Object) -> str:
    """The uid of the controlling owner, or an empty string."""
    for owner in item["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid", ""))
    return ""


def phase(pod: Object) -> str:
    """The phase of a pod; Pending before the first status."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def index_of(pod: Object) -> str:
    """The replica-index label of a pod, or an empty string."""
    return str((pod["metadata"].get("labels") or {}).get(REPLICA_INDEX, ""))


def is_terminating(item: Object) -> bool:
    """Whether deletion was asked for."""
    return bool(item["metadata"].get("deletionTimestamp"))
