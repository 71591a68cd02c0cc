"""Kyverno's command line, as a preflight has it: it verifies what the registry of the lab has signed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.lab2.extras import pod
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


@dataclass(frozen=True)
class Judge:
    """A registry with the lab's images and signatures, and the key they are made with."""

    registry: str
    key: str

    def admits(self, folder: Path, version: str, expression: str, *, required: bool) -> bool:
        """Whether `kyverno apply` passes a pod of a version."""
        policy = {
            "apiVersion": "policies.kyverno.io/v1",
            "kind": "ImageValidatingPolicy",
            "metadata": {"name": "images"},
            "spec": self._spec(expression, required=required),
        }
        (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
        item = pod("asked", f"{self.registry}/web@{digest_of(version)}")
        (folder / "pod.yaml").write_text(yaml.safe_dump(item))
        found = find(KYVERNO_CLI)
        assert found is not None
        command = [str(found.path("kyverno")), "apply", "policy.yaml", "--resource", "pod.yaml", "--registry"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert "Applying 1 policy rule" in done.stdout
        return done.returncode == 0

    def _spec(self, expression: str, *, required: bool) -> dict[str, Any]:
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
        return {
            "validationActions": ["Deny"],
            "matchConstraints": {"resourceRules": [resources]},
            "matchImageReferences": [{"glob": f"{self.registry}/*"}],
            "validationConfigurations": {"mutateDigest": False, "required": required},
            "attestors": [{"name": "course", "cosign": cosign}],
            "validations": [{"expression": expression, "message": "an image is signed"}],
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
