"""Carries images that were built here to machines that should not build: one file, checked on the way in.

A zip without compression, for the archives in it are compressed: `manifest.json`, and an archive for each
image that it lists. Nothing of it is trusted for a path, a size or a name.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.clusters.binaries.catalog import Platform
from graders.clusters.binaries.store import CHUNK_BYTES, MANIFEST, file_sha256
from graders.clusters.nodeimages.imagecache import Built, adopt
from graders.faults import UsageError
from graders.once import one_at_a_time, scratch_folder
from graders.progress import Progress

_MAX_MANIFEST_BYTES = 64 << 10
_FIX = "make it again with `kubeproof kind image --offline --save FILE`, with the same version of kubeproof"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=1)]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["kubeproof/images/v1"], Field(alias="schema")] = "kubeproof/images/v1"
    platform: str
    images: dict[str, _Entry]


def save_images(images: Sequence[Built], target: Platform, file: Path, progress: Progress) -> None:
    """Write the archives of `images`, which are in the cache, to `file`; it is there only when complete.

    Raises:
        UsageError: `file` cannot be written.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        with progress.task(f"writing {file}", total=float(len(images))) as task:
            entries = {}
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as packed:
                for done, image in enumerate(images):
                    task.update(done=done, detail=image.reference)
                    size = image.archive.stat().st_size
                    entries[image.name] = _Entry(
                        key=image.key, sha256=file_sha256(image.archive), size_bytes=size
                    )
                    packed.write(image.archive, image.name)
                manifest = _Manifest(platform=str(target), images=entries)
                packed.writestr(MANIFEST, manifest.model_dump_json(by_alias=True, indent=2))
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", fix="name another file") from error
    finally:
        partial.unlink(missing_ok=True)


def load_images(images: Sequence[Built], target: Platform, file: Path, progress: Progress) -> None:
    """Put the archives in `file` into the cache; those that are there stay.

    Raises:
        UsageError: the file cannot be read, is for another platform or other images, or is damaged.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            manifest = _read_manifest(packed, images, target, file)
            with progress.task(f"reading {file}", total=float(len(images))) as task:
                for done, image in enumerate(images):
                    task.update(done=done, detail=image.reference)
                    _take(packed, image, manifest.images[image.name], file, progress)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UsageError(f"not a readable file of images: {error}", file=file, fix=_FIX) from error


def _read_manifest(
    packed: zipfile.ZipFile, images: Sequence[Built], target: Platform, file: Path
) -> _Manifest:
    if MANIFEST not in packed.namelist():
        raise UsageError(f"it has no {MANIFEST}", file=file, fix=_FIX)
    with packed.open(MANIFEST) as stream:
        text = stream.read(_MAX_MANIFEST_BYTES)
    try:
        manifest = _Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = f"{MANIFEST} is not of schema kubeproof/images/v1: {error.errors()[0]['msg']}"
        raise UsageError(problem, file=file, fix=_FIX) from error
    if manifest.platform != str(target):
        problem = f"it holds images for {manifest.platform[:40]}, and this is {target}"
        raise UsageError(problem, file=file, fix=_FIX)
    for image in images:
        entry = manifest.images.get(image.name)
        if entry is None or entry.key != image.key or image.name not in packed.namelist():
            raise UsageError(f"it does not hold the image {image.reference}", file=file, fix=_FIX)
    return manifest


def _take(packed: zipfile.ZipFile, image: Built, entry: _Entry, file: Path, progress: Progress) -> None:
    archive = image.archive
    with one_at_a_time(archive.with_name(f"{image.name}.lock"), f"image {image.name}", progress):
        if archive.is_file():
            return
        with scratch_folder(archive.parent / image.name) as scratch:
            copy, digest, size = scratch / "image.tar.zst", hashlib.sha256(), 0
            with packed.open(image.name) as source, copy.open("xb") as target:
                while (chunk := source.read(CHUNK_BYTES)) and size <= entry.size_bytes:
                    size += len(chunk)
                    digest.update(chunk)
                    target.write(chunk)
            if size != entry.size_bytes or digest.hexdigest() != entry.sha256:
                problem = f"the image {image.reference} does not match the checksum in {MANIFEST}"
                raise UsageError(problem, file=file, fix=_FIX)
            adopt(image, copy)
