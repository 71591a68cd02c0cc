"""What is packed in an archive, one thing after the other, in the same shape for zip and tar."""

import contextlib
import gzip
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import IO, Protocol, cast

from graders.documents.wording import file_name
from graders.faults import BadSubmission
from graders.submissions.streams import CappedReads, Counted, PlainTarInfo

_LINK_BYTES = 4096
_UTF8 = 0x800
_UNIX = 3
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")
_TAR_KINDS = {tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}


class MemberKind(Enum):
    """What sort of thing a member is; pipes and devices are files of a mode that is refused."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


@dataclass(frozen=True)
class Member:
    """One thing that is packed: `name` as packed but with slashes, `mode` as in `os.stat`, 0 if not told.

    It can be read only until the next one is asked for. `method` is that of a compression we do not read.
    """

    name: str
    kind: MemberKind
    mode: int
    open: Callable[[], IO[bytes]]
    target: Callable[[], str] = str
    encrypted: bool = False
    method: int = 0

    @property
    def executable(self) -> bool | None:
        """Whether it may be run; None where its packer did not say."""
        return bool(self.mode & stat.S_IXUSR) if self.mode else None


class Members(Protocol):
    """The members of an archive; each iteration reads it anew."""

    def __iter__(self) -> Iterator[Member]:
        """In the order of the archive; whatever its library raises comes through."""


@dataclass(frozen=True)
class ZipMembers:
    """Those of a zip archive."""

    archive: Path

    def __iter__(self) -> Iterator[Member]:
        """In the order of its table of contents."""
        with self.archive.open("rb") as stream:
            capped = CappedReads(stream, file_name(self.archive))
            with zipfile.ZipFile(capped) as archive:
                for member in archive.infolist():
                    yield self._member(archive, member)

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Member:
        name, mode = _name(member), member.external_attr >> 16
        content = partial(archive.open, member)
        encrypted = bool(member.flag_bits & 0x1)
        method = member.compress_type
        method = 0 if method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else method

        def target() -> str:
            with content() as stream:
                return stream.read(_LINK_BYTES + 1).decode("utf-8", "surrogateescape")

        kind = MemberKind.FILE
        if name.endswith("/"):
            kind = MemberKind.FOLDER
        elif stat.S_ISLNK(mode):
            kind = MemberKind.LINK
        elif mode and not stat.S_IFMT(mode):
            mode |= stat.S_IFREG
        return Member(name, kind, mode, content, target, encrypted, method)


def _name(member: zipfile.ZipInfo) -> str:
    """A member's name: many packers write UTF-8 without saying so, and some on Windows backslashes."""
    # `filename` ends at the first NUL; the name as packed does not.
    name = member.orig_filename
    if not member.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    if member.create_system != _UNIX and "\\" in name:
        name = _DRIVE.sub("", name.replace("\\", "/"))
    return name


@dataclass(frozen=True)
class TarMembers:
    """Those of a tar archive; at most `most_bytes` are unpacked: a few kilobytes may become any number."""

    archive: Path
    most_bytes: int
    gzipped: bool

    def __iter__(self) -> Iterator[Member]:
        """In order."""
        with self.archive.open("rb") as stream:
            unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if self.gzipped else stream
            counted = Counted(unpacked, self.most_bytes, file_name(self.archive))
            with tarfile.open(fileobj=counted, mode="r|", tarinfo=PlainTarInfo, errorlevel=2) as archive:
                for member in archive:
                    archive.members.clear()  # type: ignore[attr-defined]
                    yield self._member(archive, member)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Member:
        def content() -> IO[bytes]:
            stream = archive.extractfile(member)
            if stream is None:
                raise BadSubmission(
                    "has no content", file=file_name(member.name), fix="pack it as a plain file"
                )
            return stream

        kind = MemberKind.FILE
        if member.isdir():
            kind = MemberKind.FOLDER
        elif member.issym():
            kind = MemberKind.LINK
        elif member.islnk():
            kind = MemberKind.HARD_LINK
        sort = stat.S_IFREG if member.isreg() else _TAR_KINDS.get(member.type, stat.S_IFWHT)
        mode = sort | stat.S_IMODE(member.mode)
        return Member(member.name, kind, mode, content, lambda: member.linkname)
