"""Folders as one file each: packed alike from alike, unpacked without trusting a word of it."""

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from graders.faults import KubeproofError

MOST_BYTES = 2 << 30
"""Of what is unpacked, in all."""

_MOST_MEMBERS = 100_000
_CHUNK = 1 << 20


class BadPack(KubeproofError):
    """What was packed is not what it should be; says how."""


def pack(folder: Path, file: Path) -> None:
    """Write the files, folders and links of `folder` to the new file `file`, a .tar.gz."""
    with (
        file.open("xb") as raw,
        gzip.GzipFile(fileobj=raw, filename="", mode="wb", mtime=0, compresslevel=6) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as packed,
    ):
        for path in sorted(folder.rglob("*")):
            member = packed.gettarinfo(path, path.relative_to(folder).as_posix())
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            if member.islnk():
                # A second name of a file is a file to whoever unpacks it.
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", path.lstat().st_size
            if member.isreg():
                with path.open("rb") as content:
                    packed.addfile(member, content)
            elif member.isdir() or member.issym():
                packed.addfile(member)


def unpack(file: Path, folder: Path, *, links: bool = False, most_bytes: int = MOST_BYTES) -> None:
    """Unpack into the new folder `folder`; `links` allows those that stay inside.

    Raises:
        BadPack: it is damaged, too large, or holds what leads elsewhere; `folder` then holds a part of it.
    """
    folder.mkdir()
    left, waiting = most_bytes, []
    try:
        with gzip.open(file, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as packed:
            for number, member in enumerate(packed):
                if number >= _MOST_MEMBERS:
                    raise BadPack(f"has more than {_MOST_MEMBERS} members")
                target = folder / _inside(member.name)
                if member.isdir():
                    target.mkdir(mode=0o755, exist_ok=True)
                elif member.issym() and links:
                    waiting.append((target, member.linkname))
                elif member.isreg():
                    content = packed.extractfile(member)
                    assert content is not None
                    left -= _copied(content, target, left)
                    target.chmod(0o755 if member.mode & 0o100 else 0o644)
                else:
                    raise BadPack(f"holds {member.name[:100]!r}, which is neither a file nor a folder")
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise BadPack(f"is damaged ({type(error).__name__}: {error})") from error
    # Last of all, so that nothing is written through one.
    for target, leads_to in waiting:
        if not (target.parent / leads_to).resolve().is_relative_to(folder.resolve()):
            raise BadPack(f"holds the link {target.name[:100]!r}, which leads out")
        target.symlink_to(leads_to)


def sha256_of(file: Path) -> str:
    """The digest of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(name: str) -> str:
    steps = PurePosixPath(name).parts
    if not steps or "/".join(steps) != name or ".." in steps or "\0" in name:
        raise BadPack(f"holds {name[:100]!r}, which leads out")
    return name


def _copied(source: IO[bytes], target: Path, most_bytes: int) -> int:
    size = 0
    with target.open("xb") as stream:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise BadPack("is larger than it may be, unpacked")
            stream.write(chunk)
    return size
