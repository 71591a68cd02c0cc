"""Carries what is in the cache to machines that should not build: one file.

A gzipped tar: `manifest.json` first, then the files of each thing that it lists, as `<name>/<path>`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from graders.faults import UsageError
from graders.progress import Progress, Task
from graders.tools.kept import Kept
from graders.tools.platforms import machine_platform
from graders.tools.store import CHUNK_BYTES, MANIFEST


class Entry(BaseModel):
    """What the manifest says of one thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 -]{0,63}$")]
    key: Annotated[str, Field(max_length=300)]
    files: Annotated[int, Field(ge=1, le=1_000_000)]
    size_bytes: Annotated[int, Field(ge=0, le=1 << 40)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of each file's name, size and whether it may be executed, and its content, in their order."""


class ArchiveManifest(BaseModel):
    """`manifest.json` of an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["kubeproof/archive/v1"], Field(alias="schema")] = "kubeproof/archive/v1"
    platform: str
    things: tuple[Entry, ...]


def save_archive(file: Path, things: Sequence[Kept], progress: Progress) -> tuple[str, ...]:
    """Write those of `things` that are here to `file`; it appears there only when it is complete.

    Returns their names.

    Raises:
        UsageError: `file` cannot be written.
        InfraFault: something in the cache is not what was put there.
    """
    carried = {each.name: (each.key, each.files()) for each in things if each.made()}
    for each in things:
        if each.name in carried:
            each.verify()
    total = float(sum(path.stat().st_size for _, files in carried.values() for path in files.values()))
    partial = file.with_name(f".{file.name}.partial")
    try:
        with progress.task(f"writing {file}", total=total) as task:
            entries = [_described(name, *each, task) for name, each in carried.items()]
            manifest = ArchiveManifest(platform=str(machine_platform()), things=tuple(entries))
            with gzip.GzipFile(partial, "wb", compresslevel=1) as packed, _writer(packed) as tar:
                text = manifest.model_dump_json(by_alias=True, indent=2).encode()
                header = tarfile.TarInfo(MANIFEST)
                header.size = len(text)
                tar.addfile(header, io.BytesIO(text))
                done = 0.0
                for name, (_, files) in carried.items():
                    task.update(done=done, detail=name)
                    for relative, path in files.items():
                        done += _add(tar, f"{name}/{relative}", path)
                        task.update(done=done)
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", fix="name another file") from error
    finally:
        partial.unlink(missing_ok=True)
    return tuple(carried)


def heading(relative: str, size_bytes: int, executable: bool) -> bytes:
    """What stands before a file's content in what is digested."""
    return f"{relative}\0{size_bytes}\0{executable:d}\n".encode("utf-8", "surrogateescape")


def _described(name: str, key: str, files: Mapping[str, Path], task: Task) -> Entry:
    digest, size = hashlib.sha256(), 0
    task.update(detail=f"reading {name}")
    for relative, path in files.items():
        stat = path.stat()
        digest.update(heading(relative, stat.st_size, bool(stat.st_mode & 0o100)))
        size += stat.st_size
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
    return Entry(name=name, key=key, files=len(files), size_bytes=size, sha256=digest.hexdigest())


def _writer(packed: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> int:
    """Add a file whose header says nothing about this machine or its user; returns its size in bytes."""
    stat, header = path.stat(), tarfile.TarInfo(name)
    header.size, header.mtime = stat.st_size, int(stat.st_mtime)
    header.mode = 0o755 if stat.st_mode & 0o100 else 0o644
    with path.open("rb") as stream:
        tar.addfile(header, stream)
    return header.size
