"""A cluster's certificates: who they are for, what they may be used for, and who may read the keys."""

from __future__ import annotations

import stat
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from graders.clusters.certificates import Authority, Identity, signing_key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "cluster")


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _usages(identity: Identity) -> set[x509.ObjectIdentifier]:
    usage = _read(identity.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    return set(usage.value)


def test_every_identity_is_signed_by_its_authority_and_by_no_other(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "etcd")

    certificate = _read(authority.client("scheduler", "system:kube-scheduler").certificate)

    certificate.verify_directly_issued_by(_read(authority.path))
    with pytest.raises((InvalidSignature, ValueError)):
        certificate.verify_directly_issued_by(_read(other.path))


def test_a_client_is_the_user_and_the_groups_that_kubernetes_reads(authority: Authority) -> None:
    identity = authority.client("grader", "kubeproof-grader", "system:masters", "kubeproof:grader")

    subject = _read(identity.certificate).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["kubeproof-grader"]
    groups = [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ["system:masters", "kubeproof:grader"]


def test_a_client_cannot_pose_as_a_server(authority: Authority) -> None:
    assert _usages(authority.client("grader", "kubeproof-grader")) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_server_is_known_by_loopback_and_its_names(authority: Authority) -> None:
    identity = authority.server("api-server", "kubernetes.default.svc")

    names = _read(identity.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ip_address("127.0.0.1") in names.get_values_for_type(x509.IPAddress)
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "kubernetes.default.svc"}
    assert ExtendedKeyUsageOID.SERVER_AUTH in _usages(identity)


def test_only_the_authority_can_sign_and_it_cannot_make_other_authorities(authority: Authority) -> None:
    identity = authority.client("kwok", "kwok")

    ours = _read(authority.path).extensions.get_extension_for_class(x509.BasicConstraints).value
    theirs = _read(identity.certificate).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (ours.ca, ours.path_length) == (True, 0)
    assert not theirs.ca


def test_the_authoritys_own_key_is_never_written(authority: Authority, tmp_path: Path) -> None:
    assert [path.name for path in tmp_path.iterdir()] == ["cluster-ca.crt"]


def test_private_keys_are_readable_by_their_owner_alone(authority: Authority, tmp_path: Path) -> None:
    authority.client("kwok", "kwok")
    authority.server("api-server")
    signing_key(tmp_path)

    keys = sorted(tmp_path.glob("*.key"))
    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_the_two_halves_of_the_signing_key_belong_together(tmp_path: Path) -> None:
    private, public = signing_key(tmp_path)

    key = load_pem_private_key(private.read_bytes(), password=None)
    assert key.public_key() == load_pem_public_key(public.read_bytes())
