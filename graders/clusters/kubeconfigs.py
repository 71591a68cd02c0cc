"""Kubeconfigs that stand alone: whatever they need is in them."""

import base64
import json
from pathlib import Path

from graders.clusters.certificates import Identity


def write_kubeconfig(path: Path, server: str, ca: Path, identity: Identity) -> None:
    """A kubeconfig that stands alone: the certificates are in it."""
    data = certificate_kubeconfig(
        server, ca.read_bytes(), identity.certificate.read_bytes(), identity.key.read_bytes()
    )
    path.touch(mode=0o600)
    path.write_text(data, encoding="utf-8")


def certificate_kubeconfig(server: str, ca: bytes, certificate: bytes, key: bytes) -> str:
    """Kubeconfig text (JSON, which is YAML) for a client certificate."""
    user = {"client-certificate-data": _b64(certificate), "client-key-data": _b64(key)}
    return _kubeconfig(server, ca, user)


def token_kubeconfig(server: str, ca: bytes, token: str, namespace: str) -> str:
    """Kubeconfig text for a ServiceAccount's token."""
    return _kubeconfig(server, ca, {"token": token}, namespace)


def _kubeconfig(server: str, ca: bytes, user: dict[str, str], namespace: str = "default") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kubeproof",
            "clusters": [
                {"name": "kubeproof", "cluster": {"server": server, "certificate-authority-data": _b64(ca)}}
            ],
            "users": [{"name": "kubeproof", "user": user}],
            "contexts": [
                {
                    "name": "kubeproof",
                    "context": {"cluster": "kubeproof", "user": "kubeproof", "namespace": namespace},
                }
            ],
        },
        indent=2,
    )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
