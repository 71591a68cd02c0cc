"""What of a submission's manifests is refused before any cluster starts, with a remedy that works."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graders.faults import BadSubmission
from graders.lab1.api import CRD
from graders.lab1.install import ALLOWED, check_kinds
from graders.lab1.manifest import Lab1Block, Lab1Manifest
from graders.paths import REPOSITORY
from graders.submissions import load_submission
from graders.submissions.manifests import Manifest, load_manifests

REFERENCE = REPOSITORY / "solutions" / "lab1" / "reference"


@pytest.fixture
def wanted(tmp_path: Path) -> Lab1Manifest:
    submission = load_submission(REFERENCE, lab="lab1", block=Lab1Block, scratch=tmp_path)
    assert isinstance(submission.manifest, Lab1Manifest)
    return submission.manifest


@pytest.fixture
def manifests(wanted: Lab1Manifest) -> list[Manifest]:
    return list(load_manifests(REFERENCE, wanted.manifests))


def one(kind: str, name: str = "x", version: str = "", **metadata: str) -> Manifest:
    data = {
        "apiVersion": version or ALLOWED.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": name, **metadata},
    }
    return Manifest(data, "deploy/x.yaml", 7)


def refused(manifests: list[Manifest], wanted: Lab1Manifest) -> BadSubmission:
    with pytest.raises(BadSubmission) as caught:
        check_kinds(manifests, wanted)
    return caught.value


def renamed(manifests: list[Manifest], kind: str, **metadata: Any) -> list[Manifest]:
    """The same, but for the metadata of one kind; None takes a key away."""

    def changed(manifest: Manifest) -> Manifest:
        if manifest.kind != kind:
            return manifest
        merged = {**manifest.data["metadata"], **metadata}
        kept = {key: value for key, value in merged.items() if value is not None}
        return replace(manifest, data={**manifest.data, "metadata": kept})

    return [changed(manifest) for manifest in manifests]


def test_the_reference_is_in_order(manifests: list[Manifest], wanted: Lab1Manifest) -> None:
    check_kinds(manifests, wanted)


@pytest.mark.parametrize("kind", ["ClusterKopfPeering", "KopfPeering"])
def test_a_peering_of_kopf_may_come_along(manifests: list[Manifest], wanted: Lab1Manifest, kind: str) -> None:
    check_kinds([*manifests, one(kind)], wanted)


@pytest.mark.parametrize(
    ("manifest", "says", "fix"),
    [
        (
            one("MLTrainingJob"),
            "MLTrainingJob x may not be installed",
            "take it out; allowed are ClusterKopfPeering, ClusterRole",
        ),
        (
            one("ConfigMap", namespace="kube-system"),
            "is in kube-system, which belongs",
            "use the operator's own",
        ),
        (one("Namespace", "default"), "is in default, which belongs", "namespace, mltj-system"),
        (
            one("Deployment", version="extensions/v1beta1"),
            "Deployment x is of extensions/v1beta1, which no cluster has",
            'write "apiVersion: apps/v1"',
        ),
        (
            one("CustomResourceDefinition", version="apiextensions.k8s.io/v1beta1"),
            "which no cluster has",
            'write "apiVersion: apiextensions.k8s.io/v1"',
        ),
    ],
)
def test_what_may_not_be_there(
    manifests: list[Manifest], wanted: Lab1Manifest, manifest: Manifest, says: str, fix: str
) -> None:
    error = refused([*manifests, manifest], wanted)
    assert (error.file, error.line) == ("deploy/x.yaml", 7)
    assert says in error.problem
    assert fix in error.fix


@pytest.mark.parametrize(
    ("metadata", "says", "fix"),
    [
        (
            {"namespace": None},
            ": this one has no namespace",
            'write "namespace: mltj-system" in its metadata',
        ),
        ({"namespace": "system"}, ": this one is in system", "or correct operator.namespace"),
        ({"name": "other"}, "; there is other in mltj-system", "correct operator.namespace and"),
    ],
)
def test_an_account_that_is_not_the_operator_s(
    manifests: list[Manifest], wanted: Lab1Manifest, metadata: dict[str, Any], says: str, fix: str
) -> None:
    error = refused(renamed(manifests, "ServiceAccount", **metadata), wanted)
    assert (
        f"the manifests hold no ServiceAccount mltj-operator in namespace mltj-system{says}" == error.problem
    )
    assert fix in error.fix


def test_no_account_at_all(manifests: list[Manifest], wanted: Lab1Manifest) -> None:
    error = refused([each for each in manifests if each.kind != "ServiceAccount"], wanted)
    assert (error.file, error.problem) == (
        "submission.yaml", "the manifests hold no ServiceAccount mltj-operator in namespace mltj-system"
    )  # fmt: skip


def test_a_crd_of_another_name(manifests: list[Manifest], wanted: Lab1Manifest) -> None:
    error = refused(renamed(manifests, "CustomResourceDefinition", name="mltjs.training.mod201.dev"), wanted)
    assert error.problem.endswith("; there is mltjs.training.mod201.dev")
    assert error.fix == f"call it {CRD}"
    error = refused([each for each in manifests if each.kind != "CustomResourceDefinition"], wanted)
    assert error.fix == "add the CRD's file to `manifests`"
