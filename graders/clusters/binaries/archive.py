"""Carries the programs to machines that should not build: one file, checked on the way in.

A gzipped tar: `manifest.json` first, then `bin/<program>` for each program that it lists. An archive is a
stranger's file until its contents match; nothing of it is trusted for a path, a size or a mode.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from graders.clusters.binaries.catalog import CORE, PACKAGES, VERSIONS
from graders.clusters.binaries.store import CHUNK_BYTES, MANIFEST, Manifest, Store, file_sha256
from graders.faults import InfraFault, UsageError
from graders.once import one_at_a_time, scratch_folder
from graders.progress import Progress

_MAX_MANIFEST_BYTES = 64 << 10


class _TooLongError(Exception):
    """A header of the archive wants more than a header may be."""


_UNREADABLE = (OSError, EOFError, ValueError, RecursionError, zlib.error, tarfile.TarError, _TooLongError)
"""What the gzip and tar readers raise on broken or hostile input; a chain of headers makes them recurse."""

_FIX = "make it again with `kubeproof setup --save FILE` on a machine of the same kind and kubeproof version"


def save_archive(store: Store, file: Path, progress: Progress) -> None:
    """Write the programs of `store` to `file`; it appears there only when it is complete.

    Raises:
        UsageError: `file` cannot be written.
        InfraFault: a program in the cache is not what was put there.
    """
    manifest = store.manifest()
    for program, entry in manifest.files.items():
        if file_sha256(store.folder / program) != entry.sha256:
            raise InfraFault(
                f"{store.folder / program} has changed since it was put into the cache",
                fix=f"remove {store.folder} and run `kubeproof setup`",
            )
    partial = file.with_name(f".{file.name}.partial")
    total = float(sum(entry.size_bytes for entry in manifest.files.values()))
    try:
        with progress.task(f"writing {file}", total=total) as task:
            done = 0.0
            with gzip.GzipFile(partial, "wb", compresslevel=1) as packed, _writer(packed) as tar:
                _add(tar, MANIFEST, io.BytesIO(manifest.model_dump_json(by_alias=True, indent=2).encode()))
                for program, entry in manifest.files.items():
                    task.update(done=done, detail=program)
                    with (store.folder / program).open("rb") as stream:
                        _add(tar, f"bin/{program}", stream)
                    done += entry.size_bytes
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", fix="name another file") from error
    finally:
        partial.unlink(missing_ok=True)


def load_archive(store: Store, file: Path, progress: Progress) -> None:
    """Put the programs of an archive into `store`, all of them or none.

    Raises:
        UsageError: the archive cannot be read, is for another platform or other versions, or holds
            anything but what its manifest says; the cache is as it was before.
    """
    with (
        one_at_a_time(store.lock, "control-plane binaries", progress),
        scratch_folder(store.folder) as scratch,
    ):
        try:
            with _BoundedGzip(file, "rb") as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
                manifest = _manifest(tar, store, file)
                _unpack(tar, manifest, scratch, file, progress)
        except _UNREADABLE as error:
            raise UsageError(f"not a readable archive of binaries: {error}", file=file, fix=_FIX) from error
        for program in manifest.files:
            store.adopt(program, scratch / program, "archive")


def _manifest(tar: tarfile.TarFile, store: Store, file: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MAX_MANIFEST_BYTES:
        raise UsageError(f"the archive does not begin with {MANIFEST}", file=file, fix=_FIX)
    stream = tar.extractfile(first)
    assert stream is not None
    try:
        manifest = Manifest.model_validate_json(stream.read(_MAX_MANIFEST_BYTES))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        problem = f"{MANIFEST} is not of schema kubeproof/binaries/v1 ({where}: {error.errors()[0]['msg']})"
        raise UsageError(problem, file=file, fix=_FIX) from error
    if manifest.platform != str(store.platform):
        problem = f"the archive holds programs for {manifest.platform[:40]}, and this is {store.platform}"
        raise UsageError(problem, file=file, fix=_FIX)
    if manifest.versions != VERSIONS:
        theirs, ours = (
            ", ".join(f"{k} {v}" for k, v in sorted(m.items())) for m in (manifest.versions, VERSIONS)
        )
        raise UsageError(f"the archive holds {theirs[:200]}, and needed are {ours}", file=file, fix=_FIX)
    if strange := sorted(set(manifest.files) - set(PACKAGES)):
        raise UsageError(
            f"the archive holds {strange[0][:40]!r}, which is no program of a cluster", file=file, fix=_FIX
        )
    if absent := sorted(set(CORE) - set(manifest.files)):
        raise UsageError(f"the archive lacks {', '.join(absent)}", file=file, fix=_FIX)
    return manifest


def _unpack(tar: tarfile.TarFile, manifest: Manifest, scratch: Path, file: Path, progress: Progress) -> None:
    expected = {f"bin/{program}": program for program in manifest.files}
    total = float(sum(entry.size_bytes for entry in manifest.files.values()))
    with progress.task(f"reading {file}", total=total) as task:
        done = 0.0
        while (member := tar.next()) is not None:
            program = expected.pop(member.name, None)
            if program is None or not member.isreg():
                problem = (
                    f"the archive holds {member.name[:100]!r}, which its {MANIFEST} does not allow there"
                )
                raise UsageError(problem, file=file, fix=_FIX)
            entry = manifest.files[program]
            task.update(done=done, detail=program)
            if member.size != entry.size_bytes or _copy(tar, member, scratch / program) != entry.sha256:
                problem = f"{member.name} does not match the checksum in {MANIFEST}"
                raise UsageError(problem, file=file, fix=_FIX)
            done += entry.size_bytes
    if expected:
        raise UsageError(f"the archive ends before {', '.join(sorted(expected))}", file=file, fix=_FIX)


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    """Write one member to `target`; returns its SHA-256 in hex."""
    source = tar.extractfile(member)
    assert source is not None
    digest = hashlib.sha256()
    with source, target.open("xb") as stream:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
    return digest.hexdigest()


def _writer(packed: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT)


def _add(tar: tarfile.TarFile, name: str, stream: IO[bytes]) -> None:
    """Add a file whose header says nothing about this machine or its user."""
    header = tarfile.TarInfo(name)
    header.size = stream.seek(0, io.SEEK_END)
    header.mode = 0o755 if name.startswith("bin/") else 0o644
    stream.seek(0)
    tar.addfile(header, stream)


class _BoundedGzip(gzip.GzipFile):
    """Hands out at most one chunk at a time.

    The tar reader takes the length of an extended header from the header itself and reads it into memory.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= CHUNK_BYTES:
            raise _TooLongError("a header in it is too long")
        return super().read(size)
