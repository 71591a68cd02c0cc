"""In a kind cluster we are who we are in an embedded one, by certificates of kubeadm's own authority."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from graders.clusters.certificates import new_pair
from graders.clusters.kind.identities import issue
from graders.faults import InfraFault

KINDS = """
clusters:
- cluster: {server: "https://127.0.0.1:40123"}
  name: kind-x
"""

USERS = {"lab-engine": (), "lab-intruder": ("system:masters",)}


class Node:
    """A node that gives its files away."""

    def __init__(self) -> None:
        pair = new_pair("kubernetes")
        self.files = {
            "/etc/kubernetes/pki/ca.crt": pair.certificate.public_bytes(Encoding.PEM),
            "/etc/kubernetes/pki/ca.key": pair.key.private_bytes(
                Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            ),
        }

    def read(self, node: str, path: str) -> bytes:
        assert node == "x-control-plane"
        return self.files[path]


def kinds(folder: Path, text: str = KINDS) -> Path:
    file = folder / "kind.kubeconfig"
    file.write_text(text)
    return file


def subject(kubeconfig: Path) -> tuple[str, list[str]]:
    """User and groups that the API server reads."""
    (user,) = json.loads(kubeconfig.read_text())["users"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["user"]["client-certificate-data"]))
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(name.value), [str(group.value) for group in groups]


def test_the_grader_and_kwok_have_the_names_that_the_audit_policy_knows(tmp_path: Path) -> None:
    node: Any = Node()
    found = issue(node, "x-control-plane", kinds(tmp_path), tmp_path, USERS)

    assert subject(found.grader) == ("kubeproof-grader", ["system:masters", "kubeproof:grader"])
    assert {user: subject(path) for user, path in found.users.items()} == {
        user: (user, list(groups)) for user, groups in USERS.items()
    }
    assert subject(found.simulator) == ("kwok", ["system:masters", "kubeproof:control-plane"])
    (cluster,) = json.loads(found.grader.read_text())["clusters"]
    assert cluster["cluster"]["server"] == "https://127.0.0.1:40123"
    assert (
        base64.b64decode(cluster["cluster"]["certificate-authority-data"])
        == (node.files["/etc/kubernetes/pki/ca.crt"])
    )
    assert found.grader.stat().st_mode & 0o777 == 0o600


def test_the_key_of_the_authority_is_written_nowhere(tmp_path: Path) -> None:
    node: Any = Node()
    issue(node, "x-control-plane", kinds(tmp_path), tmp_path, USERS)

    secret = node.files["/etc/kubernetes/pki/ca.key"].splitlines()[1]
    assert [path for path in tmp_path.iterdir() if secret in path.read_bytes()] == []


@pytest.mark.parametrize("text", ["", "[]", "clusters: []", "clusters: [{}]", "{"])
def test_a_kubeconfig_that_names_no_server_is_kinds_fault(text: str, tmp_path: Path) -> None:
    node: Any = Node()
    with pytest.raises(InfraFault, match="kind's kubeconfig names no server"):
        issue(node, "x-control-plane", kinds(tmp_path, text), tmp_path, USERS)
