"""Kyverno's command line, as a preflight has it: it verifies what the registry of the lab has signed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.admission.specimens import pod
from graders.lab2.images import COPIED, FOREIGN, UNSIGNED, digest_of, images, signatures
from graders.lab2.toolsets import KYVERNO_CLI, REGISTRY
from graders.ownership import OwnedFolder
from graders.services.ociimages import new_key, public_pem, push
from graders.services.registry import registry
from graders.tools import find

LACKING = find(KYVERNO_CLI) is None or find(REGISTRY) is None
pytestmark = pytest.mark.skipif(LACKING, reason="Kyverno's command line or the registry is not there")

VERIFIED = "images.containers.all(i, verifyImageSignatures(i, [attestors.course]) > 0)"
ALWAYS = "true"


def applied(
    folder: Path, policy: Mapping[str, Any], item: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    """What `kyverno apply` does with an object."""
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    (folder / "item.yaml").write_text(yaml.safe_dump(item))
    found = find(KYVERNO_CLI)
    assert found is not None
    command = [str(found.path("kyverno")), "apply", "policy.yaml", "--resource", "item.yaml", "--registry"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Judge:
    """A registry with the lab's images and signatures, and the key they are made with."""

    registry: str
    key: str

    def admits(self, folder: Path, version: str, expression: str, *, required: bool) -> bool:
        """Whether `kyverno apply` passes a pod of a version."""
        policy = self.policy(expression, required=required)
        item = pod("asked", f"{self.registry}/web@{digest_of(version)}", "web")
        done = applied(folder, policy, item)
        assert "Applying 1 policy rule" in done.stdout
        return done.returncode == 0

    def policy(self, expression: str, *, required: bool) -> dict[str, Any]:
        """One about images of the registry."""
        resources = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
        }
        cosign = {
            "key": {"data": self.key},
            "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True},
        }
        spec = {
            "validationActions": ["Deny"],
            "matchConstraints": {"resourceRules": [resources]},
            "matchImageReferences": [{"glob": f"{self.registry}/*"}],
            "validationConfigurations": {"mutateDigest": False, "required": required},
            "attestors": [{"name": "course", "cosign": cosign}],
            "validations": [{"expression": expression, "message": "an image is signed"}],
        }
        return {
            "apiVersion": "policies.kyverno.io/v1",
            "kind": "ImageValidatingPolicy",
            "metadata": {"name": "images"},
            "spec": spec,
        }


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder, key, found = tmp_path_factory.mktemp("registry"), new_key(), find(REGISTRY)
    assert found is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBEPROOF_STATE", str(folder / "state"))
        with (
            OwnedFolder("services", "lab2-test") as owner,
            registry(owner, folder / "registry", found.path("crane")) as at,
        ):
            push(at, ((each.digest, each) for each in images().values()))
            push(at, signatures(at, key))
            yield Judge(at, public_pem(key))


@pytest.mark.parametrize(
    ("version", "admitted"), [("v1", True), (UNSIGNED, False), (FOREIGN, False), (COPIED, False)]
)
def test_it_verifies_signatures_against_the_registry(
    judge: Judge, version: str, admitted: bool, tmp_path: Path
) -> None:
    assert judge.admits(tmp_path, version, VERIFIED, required=False) is admitted


@pytest.mark.parametrize("required", [True, False])
def test_what_is_required_is_refused_where_no_expression_verified_it(
    judge: Judge, required: bool, tmp_path: Path
) -> None:
    assert judge.admits(tmp_path, "v1", ALWAYS, required=required) is not required
    if required:
        assert judge.admits(tmp_path, "v1", VERIFIED, required=True)


def test_a_kind_that_it_does_not_know_ends_it_where_images_are_verified(judge: Judge, tmp_path: Path) -> None:
    token = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "token"}}
    done = applied(tmp_path, judge.policy(VERIFIED, required=True), token)
    assert done.returncode != 0
    assert "failed to map gvk to gvr bitnami.com/v1alpha1, Kind=SealedSecret" in done.stderr + done.stdout
    labelled = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ValidatingPolicy",
        "metadata": {"name": "labelled"},
        "spec": {
            "validationActions": ["Deny"],
            "matchConstraints": judge.policy(VERIFIED, required=True)["spec"]["matchConstraints"],
            "validations": [{"expression": "has(object.metadata.labels)"}],
        },
    }
    assert applied(tmp_path, labelled, token).returncode == 0
