"""Takes what an archive carries into the cache, each checked on the way in.

An archive is a stranger's file until its contents match; nothing of it is trusted for a path, a size or a
mode.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from graders.faults import UsageError, machine_fault
from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress
from graders.tools.archive import ArchiveManifest, Entry, heading
from graders.tools.kept import Kept
from graders.tools.platforms import machine_platform
from graders.tools.store import CHUNK_BYTES, MANIFEST

_MAX_MANIFEST_BYTES = 64 << 10
_LATEST_S = 1 << 40


class _TooLongError(Exception):
    """A header of the archive wants more than a header may be."""


_UNREADABLE = (
    *(OSError, EOFError, ValueError, OverflowError, RecursionError),
    *(zlib.error, tarfile.TarError, _TooLongError),
)
"""What the gzip and tar readers raise on broken or hostile input; a chain of headers makes them recurse."""

_FIX = "make it again with `kubeproof setup --save FILE` on a machine of the same kind and kubeproof version"


def load_archive(file: Path, things: Sequence[Kept], progress: Progress) -> tuple[str, ...]:
    """Put those of `things` that are in `file` into the cache, each as a whole; those that are here stay.

    What is of use only where it was made is passed over elsewhere. Returns the names of what `file` has of
    them and is here now.

    Raises:
        UsageError: the archive cannot be read, is for another platform or other versions, or holds
            anything but what its manifest says; of a thing that does not match nothing stays.
        InfraFault: there is no room.
    """
    wanted = {each.name: each for each in things}
    try:
        with _BoundedGzip(file, "rb") as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            listed = _manifest(tar, file).things
            fitting = {
                entry.name: wanted[entry.name]
                for entry in listed
                if entry.name in wanted and _fits(entry, wanted[entry.name], file, progress)
            }
            total = float(sum(entry.size_bytes for entry in listed))
            with progress.task(f"reading {file}", total=total) as task:
                done = 0.0
                for entry in listed:
                    task.update(done=done, detail=entry.name)
                    _take(tar, entry, fitting.get(entry.name), file, progress)
                    done += entry.size_bytes
            if (member := tar.next()) is not None:
                raise _not_allowed(member, file)
    except _UNREADABLE as error:
        fault = machine_fault(error)
        raise fault or UsageError(f"not a readable archive: {error}", file=file, fix=_FIX) from error
    return tuple(fitting)


def _manifest(tar: tarfile.TarFile, file: Path) -> ArchiveManifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MAX_MANIFEST_BYTES:
        raise UsageError(f"the archive does not begin with {MANIFEST}", file=file, fix=_FIX)
    stream = tar.extractfile(first)
    assert stream is not None
    try:
        manifest = ArchiveManifest.model_validate_json(stream.read(_MAX_MANIFEST_BYTES))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        problem = f"{MANIFEST} is not of schema kubeproof/archive/v1 ({where}: {error.errors()[0]['msg']})"
        raise UsageError(problem, file=file, fix=_FIX) from error
    if manifest.platform != str(machine_platform()):
        problem = f"the archive is for {manifest.platform[:40]}, and this is {machine_platform()}"
        raise UsageError(problem, file=file, fix=_FIX)
    return manifest


def _fits(entry: Entry, kept: Kept, file: Path, progress: Progress) -> bool:
    if entry.key == kept.key:
        return True
    if not kept.bound:
        problem = f"the archive holds {entry.name} as {entry.key!r}, and needed is {kept.key!r}"
        raise UsageError(problem, file=file, fix=_FIX)
    progress.say(f"{entry.name}: passed over, for it is of use only where it was made")
    return False


def _take(tar: tarfile.TarFile, entry: Entry, kept: Kept | None, file: Path, progress: Progress) -> None:
    """Put the next files, which are those of `entry`, into the cache where they are wanted and not there."""

    def take() -> None:
        assert kept is not None
        with scratch_folder(beside) as content:
            kept.begin(content)
            _unpack(tar, entry, kept.parts, content, file)
            if absent := [part for part in kept.parts if not (content / part).exists()]:
                raise UsageError(f"the archive lacks {absent[0]}", file=file, fix=_FIX)
            kept.adopt(content)
        taken.append(entry.name)
        if not kept.made():
            kept.drop()
            raise UsageError(f"the archive does not have all of {kept.name}", file=file, fix=_FIX)

    taken: list[str] = []
    if kept is not None:
        beside = cache_folder() / "loading" / kept.key
        kept.ensure(take, progress)
        with suppress(OSError):
            beside.rmdir()
            beside.parent.rmdir()
    for _ in range(0 if taken else entry.files):
        if (member := tar.next()) is None or not member.name.startswith(f"{entry.name}/"):
            raise UsageError(f"the archive ends within {entry.name}", file=file, fix=_FIX)


def _unpack(tar: tarfile.TarFile, entry: Entry, parts: Collection[str], content: Path, file: Path) -> None:
    """Write the files of `entry` below the folder `content`, in none but `parts` of it."""
    digest, left_bytes = hashlib.sha256(), entry.size_bytes
    for _ in range(entry.files):
        if (member := tar.next()) is None:
            raise UsageError(f"the archive ends within {entry.name}", file=file, fix=_FIX)
        folder, _, name = member.name.partition("/")
        steps = PurePosixPath(name).parts
        plain = "/".join(steps) == name and ".." not in steps and steps[:1] and steps[0] in parts
        if folder != entry.name or not plain or not _is_plain_file(member):
            raise _not_allowed(member, file)
        left_bytes -= member.size
        if left_bytes < 0:
            break
        digest.update(heading(name, member.size, bool(member.mode & 0o100)))
        _write(tar, member, content / name, digest)
    if left_bytes or digest.hexdigest() != entry.sha256:
        raise UsageError(f"{entry.name} does not match the checksum in {MANIFEST}", file=file, fix=_FIX)


def _is_plain_file(member: tarfile.TarInfo) -> bool:
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, digest: hashlib._Hash) -> None:
    source = tar.extractfile(member)
    assert source is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with source, target.open("xb") as stream:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
    # What Python compiled is good for a source of that very time.
    changed_s = min(max(int(member.mtime), 0), _LATEST_S)
    os.utime(target, (changed_s, changed_s))


def _not_allowed(member: tarfile.TarInfo, file: Path) -> UsageError:
    problem = f"the archive holds {member.name[:100]!r}, which its {MANIFEST} does not allow there"
    return UsageError(problem, file=file, fix=_FIX)


class _BoundedGzip(gzip.GzipFile):
    """Hands out at most one chunk at a time.

    The tar reader takes the length of an extended header from the header itself and reads it into memory.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= CHUNK_BYTES:
            raise _TooLongError("a header in it is too long")
        return super().read(size)
