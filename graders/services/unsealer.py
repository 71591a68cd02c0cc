"""Opens SealedSecrets as the controller of sealed-secrets does, which cannot be run outside of a cluster.

A value is an AES-GCM key, sealed by RSA-OAEP, before the value under that key. The label of the first is what
it is sealed for: `namespace/name`, or by an annotation of the SealedSecret its namespace alone, or nothing.
The format is that of github.com/bitnami/sealed-secrets, `pkg/crypto`.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from graders.background import BackgroundThread
from graders.faults import InfraFault
from graders.kube.client import APPLY_PATCH, ApiRefused, Kube

_SESSION_BYTES, _LENGTH_BYTES = 32, 2
_NONCE = bytes(12)
"""A session key is used once, so its nonce may be nothing."""
_LOOK_EVERY_S = 0.5
_CLUSTER_WIDE, _NAMESPACE_WIDE = (
    f"sealedsecrets.bitnami.com/{scope}" for scope in ("cluster-wide", "namespace-wide")
)

DEFINITION: Mapping[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "sealedsecrets.bitnami.com"},
    "spec": {
        "group": "bitnami.com",
        "names": {
            "kind": "SealedSecret", "listKind": "SealedSecretList", "plural": "sealedsecrets",
            "singular": "sealedsecret",
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}  # fmt: skip
"""The kind, as far as the controller's own definition binds it."""


def seal(public: rsa.RSAPublicKey, value: bytes, label: str) -> str:
    """A value that only what has that label can hold, in base64."""
    session = os.urandom(_SESSION_BYTES)
    sealed_key = public.encrypt(session, _oaep(label))
    sealed = AESGCM(session).encrypt(_NONCE, value, None)
    return base64.b64encode(len(sealed_key).to_bytes(_LENGTH_BYTES, "big") + sealed_key + sealed).decode()


def sealed_for(metadata: Mapping[str, Any]) -> str:
    """What a SealedSecret is sealed for, by its metadata: the label of its session keys."""
    annotations = metadata.get("annotations") or {}
    if annotations.get(_CLUSTER_WIDE) == "true":
        return ""
    if annotations.get(_NAMESPACE_WIDE) == "true":
        return str(metadata["namespace"])
    return f"{metadata['namespace']}/{metadata['name']}"


def unseal(private: rsa.RSAPrivateKey, sealed: str, label: str) -> bytes:
    """What was sealed for `label`.

    Raises:
        ValueError: it was not sealed for it, or with another key, or is damaged.
    """
    try:
        raw = base64.b64decode(sealed, validate=True)
        length = int.from_bytes(raw[:_LENGTH_BYTES], "big") + _LENGTH_BYTES
        session = private.decrypt(raw[_LENGTH_BYTES:length], _oaep(label))
        return AESGCM(session).decrypt(_NONCE, raw[length:], None)
    except (binascii.Error, InvalidTag, ValueError) as error:
        scope = label or "the whole cluster, as its annotation says,"
        raise ValueError(f"it is not sealed for {scope} by the lab's certificate") from error


def read_private(pem: bytes) -> rsa.RSAPrivateKey:
    """An RSA key from PEM.

    Raises:
        InfraFault: it is none.
    """
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InfraFault("the key for sealed secrets is not an RSA key")
    return key


class Unsealer(BackgroundThread):
    """Keeps the Secrets of one namespace as its SealedSecrets say; a context manager with a thread."""

    def __init__(self, kube: Kube, private: rsa.RSAPrivateKey, namespace: str) -> None:
        super().__init__("unsealer")
        self._kube, self._private, self._namespace = kube, private, namespace
        self._done: dict[str, tuple[str, int]] = {}
        self.refused: dict[str, str] = {}
        """Why a SealedSecret could not be opened, by its name."""

    def _run(self) -> None:
        path = f"/apis/bitnami.com/v1alpha1/namespaces/{self._namespace}/sealedsecrets"
        while not self._stop.wait(_LOOK_EVERY_S):
            try:
                answer = self._kube.request("GET", path)
                for item in answer.body["items"] if answer.ok else ():
                    self._open(item)
            except (ApiRefused, InfraFault):
                # It changed meanwhile, or its API server is away; the next look tells.
                continue

    def _open(self, item: Mapping[str, Any]) -> None:
        metadata = item["metadata"]
        name, version = str(metadata["name"]), (str(metadata["uid"]), int(metadata["generation"]))
        if self._done.get(name) == version:
            return
        try:
            values = {
                str(key): unseal(self._private, str(value), sealed_for(metadata))
                for key, value in ((item.get("spec") or {}).get("encryptedData") or {}).items()
            }
        except (ValueError, AttributeError) as error:
            self.refused[name] = str(error)
            self._tell(item, str(error))
            self._done[name] = version
            return
        owner = {
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": name, "controller": True,
            "uid": metadata["uid"],
        }  # fmt: skip
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self._namespace, "ownerReferences": [owner]},
            "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
        }
        path = f"/api/v1/namespaces/{self._namespace}/secrets/{name}"
        query = {"fieldManager": "sealed-secrets", "force": "true"}
        if self._kube.request("PATCH", path, query=query, body=body, content_type=APPLY_PATCH).ok:
            self._tell(item)
            self._done[name] = version

    def _tell(self, item: Mapping[str, Any], problem: str = "") -> None:
        """Say in the status whether it was opened, as the controller does: engines wait for that."""
        name, now = str(item["metadata"]["name"]), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {
            "type": "Synced",
            "status": "False" if problem else "True",
            "lastUpdateTime": now,
            "lastTransitionTime": now,
            **({"message": problem} if problem else {}),
        }
        generation = item["metadata"]["generation"]
        path = f"/apis/bitnami.com/v1alpha1/namespaces/{self._namespace}/sealedsecrets/{name}/status"
        self._kube.patch(path, {"status": {"observedGeneration": generation, "conditions": [condition]}})


def _oaep(label: str) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label.encode())
