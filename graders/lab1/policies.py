"""The course's policies in both forms, and Kyverno's command line that judges by one of them.

`labs/lab1/policies/admission` holds them as the API server's own admission takes them, `kyverno` as Kyverno
does. A subject is an object to be judged, under a name that is its own in the whole run.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graders.documents import load_documents
from graders.evidence.recorders import Clock
from graders.evidence.records import Object, ToolRun
from graders.faults import CourseError
from graders.paths import REPOSITORY
from graders.sandbox.protocol import Mount, Sandbox, SandboxSpec, View

POLICIES = REPOSITORY / "labs" / "lab1" / "policies"

KYVERNO = "kyverno"
"""The name under which its runs are on record."""

DEPLOYMENT = ("apps/v1", "Deployment")

ENFORCED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "policies.kubeproof.dev/enforced": "true",
}
"""Labels of a namespace where the API server judges by Pod Security and by the course's policies."""

_LINE = (
    'exec nice -n 15 "$KYVERNO" apply "$FILES"/policy-*.yaml --resource "$FILES/subjects.yaml"'
    " --policy-report --output-format json --remove-color"
)
_MOST_OUTPUT = 200_000

_UNREADABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON lets stand and YAML, as which Kyverno reads it, does not."""


@dataclass(frozen=True)
class Gates:
    """What the acting for policy-gates needs: the learner's Deployments, and Kyverno's word on subjects."""

    deployments: tuple[Object, ...]
    kyverno: Callable[[Mapping[str, Object]], ToolRun]


@dataclass(frozen=True)
class Kyverno:
    """Runs Kyverno's command line in the sandbox: what it reads comes from a learner."""

    program: Path
    sandbox: Sandbox
    spec: SandboxSpec
    clock: Clock

    def __call__(self, subjects: Mapping[str, Object]) -> ToolRun:
        """Judge the subjects; the output is a report in JSON.

        Raises:
            InfraFault: the sandbox cannot be made.
        """
        policies = {f"policy-{file.name}": file.read_bytes() for file in _files("kyverno")}
        named = "\n---\n".join(_document(name, subject) for name, subject in subjects.items())

        def environment(view: View) -> dict[str, str]:
            return {"FILES": view.files, "KYVERNO": str(self.program)}

        spec = replace(
            self.spec,
            name=KYVERNO,
            command=("sh", "-c", _LINE),
            files={**policies, "subjects.yaml": named.encode()},
            environment=environment,
            mounts=(Mount(str(self.program), self.program),),
        )
        spec.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.sandbox.start(spec) as process:
            status = None
            while status is None:
                status = process.wait(1.0)
            text = process.log_path.read_text("utf-8", "replace")
        return ToolRun(
            t=self.clock.now(),
            tool=KYVERNO,
            argv=tuple(_LINE.split()[4:]),
            code=status.code,
            duration_s=round(time.monotonic() - started, 3),
            output=text[:_MOST_OUTPUT],
            reason=str(status),
        )


def admission_manifests() -> list[dict[str, Any]]:
    """Each ValidatingAdmissionPolicy and its binding."""
    found: list[dict[str, Any]] = []
    for file in _files("admission"):
        shown = file.relative_to(REPOSITORY).as_posix()
        found += [document.data for document in load_documents(file, shown_as=shown, error=CourseError)]
    return found


def policy_names() -> tuple[str, ...]:
    """Names of the policies; a file is named after the policy in it."""
    return tuple(file.stem for file in _files("admission"))


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
        "PodSecurity": broken(lambda spec: spec.update(hostNetwork=True)),
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


def _document(name: str, subject: Object) -> str:
    """One subject as a line of JSON, under its own name: twins end Kyverno's command line with a panic."""
    named = copy.deepcopy(dict(subject))
    named["metadata"] = {**named["metadata"], "name": name, "namespace": "default"}
    line = json.dumps(named, ensure_ascii=False).encode("utf-8", "replace").decode()
    return _UNREADABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _files(form: str) -> list[Path]:
    return sorted((POLICIES / form).glob("*.yaml"))
