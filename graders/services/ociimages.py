"""Tiny OCI images and their signatures, made in memory and brought to a registry.

A signature is written as cosign does with a key: simple signing. The payload names a digest; its signature
stands in an annotation of the one layer of an image that is tagged `sha256-<hex>.sig`.
"""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graders.faults import InfraFault

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


@dataclass(frozen=True)
class OciImage:
    """A manifest and the two blobs it names."""

    repository: str
    manifest: bytes
    blobs: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """What names it: `sha256:` and 64 hex digits."""
        return digest_bytes(self.manifest)


def plain_image(repository: str, version: str) -> OciImage:
    """An image of one small file that says what it is; the same bytes each time."""
    layer = _layer(f"{repository} {version}\n".encode())
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"org.opencontainers.image.version": version}, "User": "65532"},
            "rootfs": {"type": "layers", "diff_ids": [digest_bytes(layer)]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(config), "digest": digest_bytes(config)},
        "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": digest_bytes(layer)}],
    }
    return OciImage(repository, _json(manifest), (layer, config))


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key to sign with."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Its public half, PEM."""
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode("ascii")


def signature_image(
    key: ec.EllipticCurvePrivateKey, reference: str, repository: str, digest: str
) -> OciImage:
    """What says that the owner of `key` vouches for a digest of `reference`."""
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
        "mediaType": _SIGNED,
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
    return OciImage(repository, _json(manifest), (payload, config))


def push(registry: str, tagged: Iterable[tuple[str, OciImage]]) -> None:
    """Bring images to the registry at `registry`, host:port, each by a tag or by its digest.

    Raises:
        InfraFault: it does not take one.
    """
    try:
        with httpx.Client(base_url=f"http://{registry}/v2", trust_env=False, timeout=15.0) as client:
            for name, image in tagged:
                for blob in image.blobs:
                    place = client.post(f"/{image.repository}/blobs/uploads/").raise_for_status()
                    where = httpx.URL(place.headers["Location"])
                    where = where.copy_merge_params({"digest": digest_bytes(blob)})
                    target = str(where) if where.host else f"http://{registry}{where}"
                    client.put(target, content=blob).raise_for_status()
                headers = {"Content-Type": _MANIFEST}
                path = f"/{image.repository}/manifests/{name}"
                client.put(path, content=image.manifest, headers=headers).raise_for_status()
    except (httpx.HTTPError, KeyError) as error:
        raise InfraFault(f"the registry does not take an image: {error}") from error


def signature_tag(digest: str) -> str:
    """The tag of an image's signature."""
    return digest.replace(":", "-") + ".sig"


def digest_bytes(data: bytes) -> str:
    """What names a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("version")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
