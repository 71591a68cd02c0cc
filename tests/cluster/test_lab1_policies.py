"""What each policy of lab 1 refuses, warns of and lets pass, asked of a real API server."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from graders.documents import load_documents
from graders.kube.client import Kube
from graders.lab1.policies import (
    ENFORCED,
    POD_SECURITY,
    WARNED,
    admission_manifests,
    compliant_template,
    counter_examples,
    deployment,
    pod,
    policy_names,
)
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for

pytestmark = pytest.mark.cluster

(ENFORCING,) = (label for label in ENFORCED if "pod-security" not in label)
PROBE = {"httpGet": {"path": "/healthz", "port": 8080}}
REFERENCE = REPOSITORY / "solutions" / "lab1" / "reference" / "deploy" / "40-deployment.yaml"
Change = Callable[[dict[str, Any]], object]


def _pod(change: Change = lambda spec: None) -> dict[str, Any]:
    template = compliant_template()
    change(template["spec"])
    return pod(template["spec"])


def _deployment(change: Change = lambda spec: None) -> dict[str, Any]:
    template = compliant_template()
    template["metadata"] = {"labels": {"app": "sample"}}
    template["spec"]["containers"][0].update(livenessProbe=PROBE, readinessProbe=PROBE)
    change(template["spec"])
    return deployment({"selector": {"matchLabels": {"app": "sample"}}, "template": template})


def _first(field: str, value: Any, group: str = "containers") -> Change:
    return lambda spec: spec[group][0].update({field: value})


def _bare(spec: dict[str, Any]) -> None:
    spec["containers"] = [{"name": "bare", "image": "bare"}]
    for field in ("serviceAccountName", "automountServiceAccountToken", "initContainers"):
        del spec[field]


def _twins(spec: dict[str, Any]) -> None:
    spec["containers"].append({**copy.deepcopy(spec["containers"][0]), "name": "twin", "image": "a:latest"})


WRITABLE = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": False}
ONE_LIMIT = {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}
NO_LIMIT = {"requests": {"cpu": "1", "memory": "64Mi"}}
DIGEST = "registry.example:5000/a@sha256:" + "0" * 64

SAMPLES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a compliant pod": (_pod(), set()),
    "a compliant Deployment": (_deployment(), set()),
    "image latest": (_pod(_first("image", "a:latest")), {"images-are-pinned"}),
    "image without a tag": (_pod(_first("image", "example.com/a")), {"images-are-pinned"}),
    "a port is no tag": (_pod(_first("image", "example.com:5000/a")), {"images-are-pinned"}),
    "a digest is enough": (_pod(_first("image", DIGEST)), set()),
    "a tag that begins as latest does": (_pod(_first("image", "a:latest-1.2")), set()),
    "init container's image": (_pod(_first("image", "a", "initContainers")), {"images-are-pinned"}),
    "the second container": (_pod(_twins), {"images-are-pinned"}),
    "no cpu request": (_pod(_first("resources", ONE_LIMIT)), {"resources-are-bounded"}),
    "no memory limit": (_pod(_first("resources", NO_LIMIT)), {"resources-are-bounded"}),
    "no resources": (_deployment(_first("resources", {})), {"resources-are-bounded"}),
    "writable root": (_pod(_first("securityContext", WRITABLE)), {"root-file-system-is-read-only"}),
    "no security context": (
        _deployment(_first("securityContext", {}, "initContainers")),
        {"root-file-system-is-read-only"},
    ),
    "a token for the default account": (
        _pod(lambda spec: spec.update(serviceAccountName="default", automountServiceAccountToken=True)),
        {"api-tokens-need-an-account"},
    ),
    "no token for the default account": (_pod(lambda spec: spec.update(serviceAccountName="default")), set()),
    "an account of its own": (
        _deployment(lambda spec: spec.update(automountServiceAccountToken=True)),
        set(),
    ),
    "no liveness probe": (_deployment(_first("livenessProbe", None)), {"deployments-have-probes"}),
    "no readiness probe": (_deployment(_first("readinessProbe", None)), {"deployments-have-probes"}),
    "nothing right in a pod": (_pod(_bare), set(policy_names()) - {"deployments-have-probes"}),
    "nothing right in a Deployment": (_deployment(_bare), set(policy_names())),
}


@pytest.fixture(scope="module")
def spaces(kube: Kube) -> tuple[str, str]:
    """A namespace where the policies refuse, and one where they warn."""
    for space, labels in (("refusing", {ENFORCING: "true"}), ("warning", WARNED)):
        metadata = {"name": space, "labels": labels}
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        for account in ("trainer", "default", "mltj-operator"):
            named = {"name": account, "namespace": space}
            kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named})
    for manifest in admission_manifests():
        answer = kube.apply(manifest)
        assert answer.ok, answer.message

    def in_force() -> None:
        examples = {name: each for name, each in counter_examples().items() if name != POD_SECURITY}
        waiting = [
            name for name, each in examples.items() if _found(kube, ("refusing", "warning"), each) != {name}
        ]
        if waiting:
            raise NotYet(", ".join(waiting))

    wait_for(in_force, timeout_s=60)
    return "refusing", "warning"


def _dry_run(kube: Kube, space: str, subject: dict[str, Any]) -> Any:
    named = {**subject, "metadata": {**subject["metadata"], "name": "sample", "namespace": space}}
    path = kube.path_for(named, collection=True)
    return kube.request("POST", path, body=named, query={"dryRun": "All"})


def _found(kube: Kube, spaces: tuple[str, str], subject: dict[str, Any]) -> set[str]:
    """The policies that warn of a subject, if one of them refuses it, and nothing of both if none does."""
    refusing, warning = (_dry_run(kube, space, subject) for space in spaces)
    assert warning.ok, warning.message
    assert refusing.code in (201, 403, 422), refusing.message
    found = {name for name in policy_names() if any(f"'{name}'" in said for said in warning.warnings)}
    if not refusing.ok and not any(f"'{name}'" in refusing.message for name in found):
        found.add(refusing.message)
    return found if not refusing.ok else {f"not refused: {name}" for name in found}


def test_admission_finds_in_each_sample_what_is_wrong_with_it(kube: Kube, spaces: tuple[str, str]) -> None:
    found = {title: _found(kube, spaces, subject) for title, (subject, _) in SAMPLES.items()}
    assert found == {title: broken for title, (_, broken) in SAMPLES.items()}


def test_the_references_deployment_keeps_to_every_policy(kube: Kube, spaces: tuple[str, str]) -> None:
    (document,) = load_documents(REFERENCE)
    subject = deployment(document.data["spec"], document.data["metadata"])
    assert _found(kube, spaces, subject) == set()


def test_a_warning_reads_as_the_policy_wrote_it(kube: Kube, spaces: tuple[str, str]) -> None:
    (said,) = _dry_run(kube, spaces[1], _pod(_first("image", "a:latest"))).warnings
    assert said == (
        "Validation failed for ValidatingAdmissionPolicy 'images-are-pinned' "
        "with binding 'images-are-pinned-warn': "
        "every image needs a digest, or a tag that is not latest (not so in trainer)"
    )
