"""A cluster's certificates: who they are for, what they may be used for, and who may read the keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from graders.clusters.certificates import Authority, Identity, read_pair, signing_key
from graders.faults import InfraFault


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


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _kubeadms(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_an_authority_that_kubeadm_made_signs_identities_too(tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    its_certificate = _kubeadms(key)

    authority = Authority(tmp_path, "cluster", read_pair(its_certificate, _pem(key)))

    assert authority.path.read_bytes() == its_certificate
    certificate = _read(authority.client("grader", "kubeproof-grader").certificate)
    certificate.verify_directly_issued_by(_read(authority.path))
    assert not [path for path in tmp_path.iterdir() if path.read_bytes() == _pem(key)]


def test_an_authority_whose_parts_are_not_one_is_refused() -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    with pytest.raises(InfraFault, match="a certificate for another key"):
        read_pair(_kubeadms(key), _pem(other))
    with pytest.raises(InfraFault, match="cannot be read"):
        read_pair(b"nonsense", _pem(key))
    secret = ed25519.Ed25519PrivateKey.generate()
    unfit = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InfraFault, match="a key of kind Ed25519PrivateKey"):
        read_pair(_kubeadms(key), unfit)
