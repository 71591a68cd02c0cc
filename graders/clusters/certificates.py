"""Certificates of one cluster, made in process: one authority, one identity per component."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from graders.faults import InfraFault

_VALID_FOR = datetime.timedelta(days=2)
"""A grading cluster lives for minutes, one started by hand for a day."""


@dataclass(frozen=True)
class Identity:
    """Paths of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Pair:
    """An authority's own certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_pair(name: str) -> Pair:
    """A new authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"kubeproof {name} CA")])
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def read_pair(certificate: bytes, key: bytes) -> Pair:
    """The authority that somebody else made, such as kubeadm; both in PEM.

    Raises:
        InfraFault: they cannot be read, or do not belong together.
    """
    try:
        known = x509.load_pem_x509_certificate(certificate)
        secret = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise InfraFault(f"the cluster's certificate authority cannot be read: {error}") from error
    if not isinstance(secret, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InfraFault(f"the cluster's certificate authority has a key of kind {type(secret).__name__}")
    if secret.public_key() != known.public_key():
        raise InfraFault("the cluster's certificate authority has a certificate for another key")
    return Pair(known, secret)


class Authority:
    """A certificate authority whose key this process does not write down."""

    def __init__(self, folder: Path, name: str, pair: Pair | None = None) -> None:
        """Be the authority of `pair`, or a new one, and write its certificate to `<folder>/<name>-ca.crt`."""
        self.folder = folder
        pair = pair or new_pair(name)
        self._key, self._certificate = pair.key, pair.certificate
        self.path = folder / f"{name}-ca.crt"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str, *hosts: str) -> Identity:
        """A serving identity for loopback and `hosts`; etcd also calls itself with it, so both usages."""
        addresses = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", "10.96.0.1")]
        names = [x509.DNSName(host) for host in ("localhost", *hosts)]
        return self._issue(name, name, (), x509.SubjectAlternativeName([*addresses, *names]))

    def client(self, file: str, user: str, *groups: str) -> Identity:
        """A client identity: Kubernetes reads the user from CN and the groups from O."""
        return self._issue(file, user, groups, None)

    def _issue(
        self, file: str, user: str, groups: tuple[str, ...], names: x509.SubjectAlternativeName | None
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(subject, self._certificate.subject, key.public_key())
        if names is not None:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(names, critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        identity = Identity(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private_key(key, identity.key)
        return identity


def signing_key(folder: Path) -> tuple[Path, Path]:
    """A key pair that signs ServiceAccount tokens: paths of the private and the public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "service-accounts.key", folder / "service-accounts.pub"
    write_private_key(key, private)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def write_private_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Write `key` readable by its owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID_FOR)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
