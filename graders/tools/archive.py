"""Carries what the cache keeps to machines that should not build: one file, checked on the way in.

A zip of `<name>/<path>` for each file of each thing, and last `manifest.json`, which lists the things. An
archive is a stranger's file until its contents match; nothing of it is trusted for a path, a size or a mode.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.faults import UsageError, machine_fault
from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress, Task
from graders.tools.kept import Kept
from graders.tools.platforms import machine_platform
from graders.tools.store import CHUNK_BYTES, MANIFEST

_MAX_MANIFEST_BYTES = 64 << 10
_LATEST_S = 1 << 40
_BIG_BYTES = 1 << 31
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a zip raises that is broken or hostile."""

_FIX = "make it again with `kubeproof setup --save FILE` on a machine of the same kind and kubeproof version"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 -]{0,63}$")]
    key: Annotated[str, Field(max_length=300)]
    size_bytes: Annotated[int, Field(ge=0, le=1 << 40)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the name of each file, whether it may be executed, and its content, in their order."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["kubeproof/archive/v1"], Field(alias="schema")] = "kubeproof/archive/v1"
    platform: str
    things: tuple[_Entry, ...]


def save_archive(file: Path, things: Sequence[Kept], progress: Progress) -> tuple[str, ...]:
    """Write those of `things` that are here to `file`; it appears there only when it is complete.

    Returns their names.

    Raises:
        UsageError: `file` cannot be written.
        InfraFault: something in the cache is not what was put there.
    """
    carried = {each.name: (each, each.files()) for each in things if each.made()}
    for each, _ in carried.values():
        each.verify()
    total = float(sum(path.stat().st_size for _, files in carried.values() for path in files.values()))
    unfinished = file.with_name(f".{file.name}.partial")
    try:
        with (
            progress.task(f"writing {file}", total=total) as task,
            zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
        ):
            copier = _Copier(task)
            entries = [_pack(packed, each, files, copier) for each, files in carried.values()]
            manifest = _Manifest(platform=str(machine_platform()), things=tuple(entries))
            packed.writestr(MANIFEST, manifest.model_dump_json(by_alias=True, indent=2))
        unfinished.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", fix="name another file") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return tuple(carried)


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
        with zipfile.ZipFile(file) as packed:
            listed = _listed(packed)
            members = _members(packed, {entry.name for entry in listed})
            fitting = [e for e in listed if e.name in wanted and _fits(e, wanted[e.name], progress)]
            total = float(sum(entry.size_bytes for entry in fitting))
            with progress.task(f"reading {file}", total=total) as task:
                copier = _Copier(task)
                for entry in fitting:
                    kept = wanted[entry.name]
                    unpack = partial(_unpack, packed, entry, members[entry.name], copier)
                    kept.ensure(partial(_take, kept, unpack), progress)
    except _Refused as refused:
        raise UsageError(f"the archive {refused}", file=file, fix=_FIX) from refused
    except _UNREADABLE as error:
        fault = machine_fault(error)
        raise fault or UsageError(f"not a readable archive: {error}", file=file, fix=_FIX) from error
    return tuple(entry.name for entry in fitting)


class _Refused(Exception):
    """What is wrong with an archive."""


class _Copier:
    """Copies from file to file, and tells how far it is."""

    def __init__(self, task: Task) -> None:
        self._task, self._done = task, 0

    def __call__(self, source: IO[bytes], target: IO[bytes], digest: hashlib._Hash, most_bytes: int) -> int:
        """Copy and digest up to `most_bytes` and a little more; returns how many bytes it was."""
        size = 0
        while size <= most_bytes and (chunk := source.read(CHUNK_BYTES)):
            digest.update(chunk)
            target.write(chunk)
            size += len(chunk)
            self._done += len(chunk)
            self._task.update(done=self._done)
        return size


def _pack(packed: zipfile.ZipFile, kept: Kept, files: Mapping[str, Path], copy: _Copier) -> _Entry:
    digest, size = hashlib.sha256(), 0
    for relative, path in files.items():
        stat, name = path.stat(), f"{kept.name}/{relative}"
        executable = bool(stat.st_mode & 0o100)
        digest.update(_heading(relative, executable))
        with (
            path.open("rb") as source,
            packed.open(name, "w", force_zip64=stat.st_size > _BIG_BYTES) as target,
        ):
            size += copy(source, target, digest, stat.st_size)
        member = packed.getinfo(name)
        member.external_attr = (0o100755 if executable else 0o100644) << 16
        # A zip itself knows times to two seconds only.
        member.comment = str(int(stat.st_mtime)).encode()
    return _Entry(name=kept.name, key=kept.key, size_bytes=size, sha256=digest.hexdigest())


def _listed(packed: zipfile.ZipFile) -> tuple[_Entry, ...]:
    if MANIFEST not in packed.namelist():
        raise _Refused(f"has no {MANIFEST}")
    with packed.open(MANIFEST) as stream:
        text = stream.read(_MAX_MANIFEST_BYTES)
    try:
        manifest = _Manifest.model_validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        problem = f"({where}: {error.errors()[0]['msg']})"
        raise _Refused(f"has a {MANIFEST} that is not of schema kubeproof/archive/v1 {problem}") from error
    if manifest.platform != str(machine_platform()):
        raise _Refused(f"is for {manifest.platform[:40]}, and this is {machine_platform()}")
    return manifest.things


def _members(packed: zipfile.ZipFile, names: Collection[str]) -> Mapping[str, list[zipfile.ZipInfo]]:
    """The files of each thing; all of them have names that lead nowhere else."""
    found: dict[str, list[zipfile.ZipInfo]] = {name: [] for name in names}
    for member in packed.infolist():
        name, _, relative = member.filename.partition("/")
        steps = PurePosixPath(relative).parts
        plain = steps and "/".join(steps) == relative and ".." not in steps
        if member.filename != MANIFEST:
            if name not in found or not plain:
                raise _Refused(f"holds {member.filename[:100]!r}, which its {MANIFEST} does not allow there")
            found[name].append(member)
    return found


def _fits(entry: _Entry, kept: Kept, progress: Progress) -> bool:
    if entry.key == kept.key:
        return True
    if not kept.bound:
        raise _Refused(f"holds {entry.name} as {entry.key!r}, and needed is {kept.key!r}")
    progress.say(f"{entry.name}: passed over, for it is of use only where it was made")
    return False


def _take(kept: Kept, unpack: Callable[[Path], None]) -> None:
    """Put a thing into the cache if it is what it should be."""
    beside = cache_folder() / "loading" / kept.key
    with scratch_folder(beside) as content:
        kept.begin(content)
        try:
            unpack(content)
        except OSError as error:
            raise machine_fault(error) or _Refused(f"cannot be unpacked: {error.strerror}") from error
        if [each for each in kept.parts if not (content / each).exists()]:
            raise _Refused(f"does not have all of {kept.name}")
        kept.adopt(content)
    with suppress(OSError):
        beside.rmdir()
        beside.parent.rmdir()
    if not kept.made():
        kept.drop()
        raise _Refused(f"does not have all of {kept.name}")


def _unpack(
    packed: zipfile.ZipFile, entry: _Entry, members: list[zipfile.ZipInfo], copy: _Copier, content: Path
) -> None:
    digest, left_bytes = hashlib.sha256(), entry.size_bytes
    for member in members:
        relative = member.filename.partition("/")[2]
        executable, target = bool(member.external_attr >> 16 & 0o100), content / relative
        digest.update(_heading(relative, executable))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with packed.open(member) as source, target.open("xb") as stream:
            left_bytes -= copy(source, stream, digest, left_bytes)
        target.chmod(0o755 if executable else 0o644)
        # What Python compiled is good for a source of that very time.
        changed_s = min(int(member.comment[:20]), _LATEST_S)
        os.utime(target, (changed_s, changed_s))
    if left_bytes or digest.hexdigest() != entry.sha256:
        raise _Refused(f"has a {entry.name} that does not match the checksum in its {MANIFEST}")


def _heading(relative: str, executable: bool) -> bytes:
    return f"{relative}\0{executable:d}\n".encode()
