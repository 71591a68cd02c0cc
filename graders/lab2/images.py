"""The images of the lab: told apart by a label, and by how they are signed.

Nobody runs them: pods are simulated. What counts is that each digest is one that the registry has.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from graders.services.ociimages import OciImage, new_key, plain_image, signature_image, signature_tag

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6", "v7")
WEB, CACHE = "web", "cache"
UNSIGNED, FOREIGN, COPIED = "unsigned", "foreign", "copied"
NOT_OURS = (UNSIGNED, FOREIGN, COPIED)
"""Web images whose signature is missing, by another key, or that of another digest."""
BROKEN = "v3"
"""Its pods are never ready."""


@cache
def images() -> Mapping[str, OciImage]:
    """All of the lab, by `v1` … `v7`, `cache` and those that are not ours; the same bytes each time."""
    web = {version: plain_image(WEB, version) for version in (*VERSIONS, *NOT_OURS)}
    return {**web, CACHE: plain_image(CACHE, "7")}


def digest_of(version: str) -> str:
    """The digest of an image."""
    return images()[version].digest


def signatures(registry: str, key: ec.EllipticCurvePrivateKey) -> Iterator[tuple[str, OciImage]]:
    """The signatures of all images, each with its tag, as they are to be in the registry."""
    other = new_key()
    for name, image in images().items():
        if name != UNSIGNED:
            signer = other if name == FOREIGN else key
            about = digest_of("v1") if name == COPIED else image.digest
            made = signature_image(signer, f"{registry}/{image.repository}", image.repository, about)
            yield signature_tag(image.digest), made
