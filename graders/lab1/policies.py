"""The course's policies, what they bind to, and examples that keep to them or break one.

`labs/lab1/policies/admission` holds them as the API server's own admission takes them. A subject is an
object to be judged.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graders.documents import load_documents
from graders.faults import CourseError
from graders.paths import REPOSITORY

POLICIES = REPOSITORY / "labs" / "lab1" / "policies" / "admission"

POD_SECURITY = "PodSecurity"
"""What the API server calls Pod Security when it refuses something."""

ENFORCED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "policies.kubeproof.dev/enforced": "true",
}
"""Labels of a namespace where the API server judges by Pod Security and by the course's policies."""

WARNED = {"policies.kubeproof.dev/warned": "true"}
"""Where it only warns, and of all that the course's policies would refuse: a refusal names but one."""


def admission_manifests() -> list[dict[str, Any]]:
    """Each ValidatingAdmissionPolicy and its binding."""
    found: list[dict[str, Any]] = []
    for file in _files():
        shown = file.relative_to(REPOSITORY).as_posix()
        found += [document.data for document in load_documents(file, shown_as=shown, error=CourseError)]
    return found


def policy_names() -> tuple[str, ...]:
    """Names of the policies; a file is named after the policy in it."""
    return tuple(file.stem for file in _files())


def pod(spec: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A pod to be judged: of the metadata only what policies look at."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _described(metadata), "spec": dict(spec)}


def deployment(spec: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A Deployment to be judged."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _described(metadata),
        "spec": dict(spec),
    }


def compliant_template() -> dict[str, Any]:
    """A pod template that all policies let pass, and that says more than they ask for."""
    return {
        "metadata": {"labels": {"team": "research"}, "annotations": {"example.com/data-set": "digits"}},
        "spec": {
            "serviceAccountName": "trainer",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
            "initContainers": [_container("fetch", ["python", "fetch.py"])],
            "containers": [_container("trainer", ["python", "train.py"])],
        },
    }


def counter_examples() -> dict[str, dict[str, Any]]:
    """For Pod Security and for each policy something that breaks this one and no other."""

    def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        template = compliant_template()
        change(template["spec"])
        return pod(template["spec"])

    unprobed = {"selector": {"matchLabels": {"app": "unprobed"}}, "template": compliant_template()}
    unprobed["template"]["metadata"]["labels"] = {"app": "unprobed"}
    return {
        POD_SECURITY: broken(lambda spec: spec.update(hostNetwork=True)),
        "api-tokens-need-an-account": broken(
            lambda spec: spec.update(serviceAccountName="default", automountServiceAccountToken=True)
        ),
        "images-are-pinned": broken(lambda spec: spec["containers"][0].update(image="example.com/a:latest")),
        "resources-are-bounded": broken(lambda spec: spec["containers"][0].pop("resources")),
        "root-file-system-is-read-only": broken(
            lambda spec: spec["containers"][0]["securityContext"].pop("readOnlyRootFilesystem")
        ),
        "deployments-have-probes": deployment(unprobed),
    }


def _container(name: str, command: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": "registry.example/train:1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "128Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }


def _described(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: metadata[key] for key in ("labels", "annotations") if metadata and metadata.get(key)}


def _files() -> list[Path]:
    return sorted(POLICIES.glob("*.yaml"))
