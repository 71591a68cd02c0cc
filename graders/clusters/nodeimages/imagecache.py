"""Images that were built here, kept as compressed archives, so that an engine gets them in seconds."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages.archive import decompressed
from graders.faults import InfraFault
from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress
from graders.tools.kept import Kept

_LOAD_WITHIN_S = 600.0
KEY_LABEL = "kubeproof.key"


@dataclass(frozen=True)
class Built:
    """An image that can be built: what it is called, what it is made of, and how.

    `build` is given an empty folder and returns the compressed archive that it made in it; the image has
    `key` as its label `KEY_LABEL`.
    """

    name: str
    reference: str
    key: str
    build: Callable[[Path, Progress], Path]

    @property
    def archive(self) -> Path:
        """Where its archive is kept."""
        return cache_folder() / "images" / f"{self.name}-{self.key}.tar.zst"

    @property
    def kept(self) -> Kept:
        """Its archive in the cache."""
        root, file = self.archive.parent, self.archive
        return Kept(f"image {self.name}", self.key, root, (file.name,), file.name, root / f"{self.name}.lock")


def key_of(texts: Iterable[str], files: Iterable[Path]) -> str:
    """Names a set of inputs: words, and the contents of files."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text}\0".encode())
    for file in files:
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def ensure_archive(image: Built, progress: Progress) -> Path:
    """Have the archive of `image` in the cache, built once for all processes; older ones go.

    Raises:
        InfraFault: it cannot be built, or there is no room.
    """
    archive = image.archive

    def build() -> None:
        with scratch_folder(archive.parent / image.name) as scratch:
            made = image.build(scratch, progress)
            for older in archive.parent.glob(f"{image.name}-*.tar.zst"):
                older.unlink()
            made.replace(archive)

    image.kept.ensure(build, progress)
    return archive


def is_loaded(engine: Engine, image: Built) -> bool:
    """Whether the engine has this very image."""
    return engine.image_label(image.reference, KEY_LABEL) == image.key


def load(engine: Engine, image: Built, progress: Progress) -> None:
    """Have `image` in the engine, from the cache or built now.

    Raises:
        InfraFault: it cannot be built, or the engine does not take it.
    """
    if is_loaded(engine, image):
        return
    archive = ensure_archive(image, progress)
    with progress.task(f"loading the image {image.reference}"), decompressed(archive) as stream:
        engine.call("load", stdin=stream, timeout_s=_LOAD_WITHIN_S)
    if not is_loaded(engine, image):
        raise InfraFault(
            f"{archive} does not hold the image {image.reference}", fix=f"remove {archive} and try again"
        )
