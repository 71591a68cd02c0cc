"""Signatures of the lab's images, as cosign writes them: simple signing, with a key, beside the image.

The payload names a digest; its signature stands in an annotation of the one layer of an image that is tagged
`sha256-<hex>.sig`. Which image is signed how is the lab's: some by another key, some with a copied signature.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graders.lab2.images import COPIED, FOREIGN, UNSIGNED, Image, digest_bytes, digest_of, images

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"

NOT_OURS = (UNSIGNED, FOREIGN, COPIED)
"""Images whose signature is missing, by another key, or that of another digest."""


@dataclass(frozen=True)
class Signature:
    """An image that holds a signature, and the tag it has."""

    tag: str
    image: Image


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key to sign with."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Its public half, PEM."""
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode("ascii")


def signatures(registry: str, key: ec.EllipticCurvePrivateKey) -> list[Signature]:
    """The signatures of all images of the lab, as they are to be in the registry."""
    other, found = new_key(), []
    for name, image in images().items():
        if name == UNSIGNED:
            continue
        signer = other if name == FOREIGN else key
        about = digest_of("v1") if name == COPIED else image.digest
        tag = image.digest.replace(":", "-") + ".sig"
        found.append(
            Signature(tag, _signed(signer, f"{registry}/{image.repository}", image.repository, about))
        )
    return found


def _signed(key: ec.EllipticCurvePrivateKey, reference: str, repository: str, digest: str) -> Image:
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    payload = _json({"critical": critical, "optional": None})
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode("ascii")
    config = _json(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_bytes(payload)]},
        }
    )
    layer = {
        "mediaType": _LAYER,
        "size": len(payload),
        "digest": digest_bytes(payload),
        "annotations": {_SIGNATURE: signature},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(config), "digest": digest_bytes(config)},
        "layers": [layer],
    }
    return Image(repository, _json(manifest), (payload, config))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
