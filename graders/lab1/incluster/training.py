"""The jobs of the in-cluster run: real containers, each within the bounds of a restricted namespace."""

from pathlib import Path
from typing import Any

from graders.lab1.api import job_manifest

PROGRAM = Path(__file__).with_name("program.py")

TOLD_BYTES = 48 * 1024 * 1024
"""Memory of a pod that may be told to take all there is."""

USER = 10001


def training_job(namespace: str, name: str, image: str, nodes: int) -> dict[str, Any]:
    """A job whose pods find each other by name, train together and end by themselves."""
    return _job(namespace, name, image, "train", nodes=nodes, memory="128Mi")


def told_job(namespace: str, name: str, image: str, nodes: int) -> dict[str, Any]:
    """A job whose pods end as an annotation tells them; codes decide whether a failure is permanent."""
    job = _job(
        namespace, name, image, "told", nodes=nodes, memory=str(TOLD_BYTES), run_policy={"backoffLimit": 6}
    )
    job["spec"]["trainer"]["restartPolicy"] = "ExitCode"
    return job


def own_pod(name: str, image: str, *how: str) -> dict[str, Any]:
    """A pod of the grader's own, as like those of jobs as can be; `how` are the program's arguments."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", **_spec(image, how or ("told",), "128Mi")},
    }


def _job(
    namespace: str,
    name: str,
    image: str,
    how: str,
    *,
    nodes: int,
    memory: str,
    run_policy: dict[str, Any] | None = None,
) -> dict[str, Any]:
    job = job_manifest(namespace, name, nodes=nodes, run_policy=run_policy)
    job["spec"]["trainer"]["template"]["spec"] = _spec(image, (how,), memory)
    return job


def _spec(image: str, how: tuple[str, ...], memory: str) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {
                "name": "podinfo",
                "downwardAPI": {
                    "items": [{"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]
                },
            }
        ],
        "containers": [
            {
                "name": "trainer",
                "image": image,
                "imagePullPolicy": "Never",
                "command": ["python3", "-c", PROGRAM.read_text("utf-8"), *how],
                "resources": {
                    "requests": {"cpu": "50m", "memory": "32Mi"},
                    "limits": {"cpu": "500m", "memory": memory},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "podinfo", "mountPath": "/podinfo", "readOnly": True}],
            }
        ],
    }
