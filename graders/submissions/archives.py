"""A submission that is a .zip or .tar archive, unpacked without trusting a word of it.

Nothing is extracted by the archive library: members are read as streams, in order, and fed to a `Tree`,
which decides what becomes of them. Sizes that an archive declares are never believed; bytes are
counted as they come. Archives inside archives stay files.
"""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from graders.documents.wording import file_name
from graders.faults import BadSubmission, UsageError
from graders.submissions.folders import check_kind
from graders.submissions.limits import MEBIBYTE, SubmissionLimits, is_ignored
from graders.submissions.tree import Tree

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""How the name of an archive ends."""

_DIRECTORY_BYTES = 8 * MEBIBYTE
_HEADER_BYTES = 64 * 1024
_LINK_BYTES = 4096
_GLOBAL_KEYS = 100
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
    AssertionError,
)
"""What the archive libraries raise on input made to break them (RecursionError is a RuntimeError)."""


def is_archive(path: Path) -> bool:
    """Whether the name says zip or tar."""
    return path.name.lower().endswith(SUFFIXES)


def read_archive(archive: Path, tree: Tree, limits: SubmissionLimits) -> None:
    """Feed every member of `archive` to `tree`; what `is_ignored` names is left out.

    Raises:
        BadSubmission: the archive is damaged, too large, or a member breaks a rule.
    """
    shown = file_name(archive)
    try:
        size_bytes = archive.stat().st_size
        stream = archive.open("rb") if size_bytes <= limits.archive_bytes else None
    except OSError as cause:
        problem = f"the submission cannot be opened: {cause.strerror}"
        raise UsageError(problem, file=shown, fix="make it readable") from cause
    if stream is None:
        raise BadSubmission(
            f"is larger than {limits.archive_bytes // MEBIBYTE} MiB",
            file=shown,
            fix="leave out .git, environments and data",
        )
    try:
        with stream:
            if archive.name.lower().endswith(".zip"):
                _Zip(tree, limits, shown).read(stream)
            else:
                _Tar(tree, limits, shown).read(stream, archive.name.lower())
    except _BROKEN as cause:
        raise BadSubmission(
            f"is damaged, or not the archive its name says ({type(cause).__name__})",
            file=shown,
            fix="pack it again: zip -r submission.zip ., or tar czf submission.tar.gz .",
        ) from cause


class _Archive:
    """What both formats share: how a member's name becomes a path, and the count of what is skipped."""

    def __init__(self, tree: Tree, limits: SubmissionLimits, shown: str) -> None:
        self._tree = tree
        self._limits = limits
        self._shown = shown
        self._skipped = 0

    def _path(self, name: str) -> str:
        """The path that `name` means; empty if the member is not wanted."""
        if name.startswith("/"):
            raise BadSubmission(
                "is an absolute path", file=file_name(name), fix="pack the archive from inside"
            )
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            problem = "is a path that leads out of the submission"
            raise BadSubmission(problem, file=file_name(name), fix="pack the archive from inside the folder")
        if not parts or any(map(is_ignored, parts)):
            self._skipped += 1
            if self._skipped > self._limits.skipped:
                raise BadSubmission(
                    f"holds over {self._limits.skipped} entries that do not count",
                    file=self._shown,
                    fix="leave out .git and environments",
                )
            return ""
        return "/".join(parts)

    def _encrypted(self) -> BadSubmission:
        return BadSubmission("is encrypted", file=self._shown, fix="pack it without a password")


class _Zip(_Archive):
    def read(self, stream: IO[bytes]) -> None:
        capped = _CappedReads(stream, self._shown)
        with zipfile.ZipFile(capped) as archive:
            for member in archive.infolist():
                # `filename` ends at the first NUL; the name as packed does not.
                path = self._path(member.orig_filename)
                if path:
                    self._member(archive, member, path)

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> None:
        if member.flag_bits & 0x1:
            raise self._encrypted()
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = f"is compressed by method {member.compress_type}"
            raise BadSubmission(problem, file=file_name(path), fix="pack with plain zip (deflate)")
        mode = member.external_attr >> 16
        if member.orig_filename.endswith("/"):
            self._tree.folder(path)
            return
        with archive.open(member) as content:
            if stat.S_ISLNK(mode):
                self._tree.link(path, content.read(_LINK_BYTES + 1).decode("utf-8", "surrogateescape"))
                return
            if stat.S_IFMT(mode):
                check_kind(mode, path)
            self._tree.file(path, content, executable=bool(mode & stat.S_IXUSR))


class _Tar(_Archive):
    def read(self, stream: IO[bytes], name: str) -> None:
        # Counted as unpacked, for a few kilobytes may become any number.
        plain = name.endswith(".tar")
        unpacked = stream if plain else cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        counted = _Counted(unpacked, self._limits.unpacked_bytes, self._shown)
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_PlainTarInfo, errorlevel=2) as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]
                path = self._path(member.name)
                if path:
                    self._member(archive, member, path)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.isdir():
            self._tree.folder(path)
        elif member.issym():
            self._tree.link(path, member.linkname)
        elif member.islnk():
            self._hard_link(member, path)
        else:
            kind = stat.S_IFREG if member.isreg() else _TAR_KINDS.get(member.type, 0)
            check_kind(kind | stat.S_IMODE(member.mode), path)
            content = archive.extractfile(member)
            if content is None:
                raise BadSubmission("has no content", file=file_name(path), fix="pack it as a plain file")
            self._tree.file(path, content, executable=bool(member.mode & stat.S_IXUSR))

    def _hard_link(self, member: tarfile.TarInfo, path: str) -> None:
        """A second name of a file that came before becomes a copy of it."""
        target = self._path(member.linkname)
        copied = self._tree.copied(target) if target else None
        if copied is None:
            problem = f"is a hard link to {file_name(member.linkname)}, which is no file of this archive"
            raise BadSubmission(problem, file=file_name(path), fix="pack the file itself")
        with copied.open("rb") as content:
            self._tree.file(path, content, executable=bool(copied.stat().st_mode & stat.S_IXUSR))


_TAR_KINDS = {tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}


class _PlainTarInfo(tarfile.TarInfo):
    """A header that may be followed by others only while those are small; no sparse files."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # tarfile reads extension headers whole, whatever size they claim.
        extension = self.type not in tarfile.SUPPORTED_TYPES or self.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if extension and self.size > _HEADER_BYTES:
            raise tarfile.ReadError("an extension header is too large")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("sparse files are not read")
        if len(archive.pax_headers) > _GLOBAL_KEYS:
            raise tarfile.ReadError("too many global headers")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if member.sparse is not None:
            raise tarfile.ReadError("sparse files are not read")
        return member


class _Counted(io.RawIOBase):
    """A stream that ends in an error once more than `most_bytes` came out of it."""

    def __init__(self, stream: IO[bytes], most_bytes: int, shown: str) -> None:
        self._stream = stream
        self._left = most_bytes
        self._shown = shown

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; tarfile asks for one block at a time."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadSubmission(
                "unpacks to more than a submission may hold",
                file=self._shown,
                fix="leave out .git, environments and data",
            )
        return data


class _CappedReads(io.BufferedIOBase):
    """A file of which no single read is large: zipfile takes a whole table of contents in one."""

    def __init__(self, stream: IO[bytes], shown: str) -> None:
        self._stream = stream
        self._shown = shown

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes."""
        wanted = _DIRECTORY_BYTES + 1 if size is None or size < 0 else size
        data = self._stream.read(min(wanted, _DIRECTORY_BYTES + 1))
        if len(data) > _DIRECTORY_BYTES:
            raise BadSubmission(
                "lists far too many files", file=self._shown, fix="leave out .git, environments and data"
            )
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the file."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where in the file we are."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True
