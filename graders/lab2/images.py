"""The images of the lab: one layer each, told apart by a label, pushed to the lab's registry.

Nobody runs them: pods are simulated. What counts is that each digest is one that the registry has.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from graders.faults import InfraFault

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6", "v7")
WEB, CACHE = "web", "cache"
UNSIGNED, FOREIGN, COPIED = "unsigned", "foreign", "copied"
"""Web images that are not signed by the lab's key."""
BROKEN = "v3"
"""Its pods are never ready."""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """A manifest and the two blobs it names."""

    repository: str
    manifest: bytes
    blobs: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """What names it: `sha256:` and 64 hex digits."""
        return digest_bytes(self.manifest)


@cache
def images() -> Mapping[str, Image]:
    """All of the lab, by `v1` … `v7`, `cache` and `unsigned`; the same bytes each time."""
    web = {version: _image(WEB, version) for version in (*VERSIONS, UNSIGNED, FOREIGN, COPIED)}
    return {**web, CACHE: _image(CACHE, "7")}


def digest_of(version: str) -> str:
    """The digest of an image."""
    return images()[version].digest


def push(registry: str, tagged: Iterable[tuple[str, Image]]) -> None:
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


def _image(repository: str, version: str) -> Image:
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
    return Image(repository, _json(manifest), (layer, config))


def _layer(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("version")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def digest_bytes(data: bytes) -> str:
    """What names a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
