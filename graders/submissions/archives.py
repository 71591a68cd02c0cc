"""A submission that is a .zip or .tar archive, unpacked without trusting a word of it.

Nothing is extracted by the archive library: members are read as streams, in order, and fed to a `Tree`,
which decides what becomes of them. Sizes that an archive declares are never believed; bytes are
counted as they come. An archive is read twice: first its names alone, which say where in it the submission
is. Archives inside archives stay files.
"""

import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from graders.documents.wording import file_name
from graders.faults import BadSubmission, UsageError
from graders.submissions.folders import check_kind
from graders.submissions.limits import MEBIBYTE, SubmissionLimits
from graders.submissions.members import Member, MemberKind, Members, TarMembers, ZipMembers
from graders.submissions.survey import Survey, survey
from graders.submissions.tree import Tree

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""How the name of an archive ends."""

_OTHERS: Mapping[bytes, str] = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\xfd7zXZ\0": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}
"""What other packers' files begin with."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_PACK = "pack it again: zip -r submission.zip ., or tar czf submission.tar.gz ."
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


def other_format(path: Path) -> str:
    """What `path` is by its first bytes, if that is an archive which is not read; else empty.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        begins = stream.read(8)
    return next((name for mark, name in _OTHERS.items() if begins.startswith(mark)), "")


def read_archive(archive: Path, tree: Tree, limits: SubmissionLimits) -> None:
    """Feed the submission in `archive` to `tree`, from the folder around submission.yaml on.

    Raises:
        BadSubmission: the archive is damaged, too large, holds no submission, or a member breaks a rule.
    """
    shown = file_name(archive)
    try:
        size_bytes = archive.stat().st_size
        other = other_format(archive)
    except OSError as cause:
        problem = f"the submission cannot be opened: {cause.strerror}"
        raise UsageError(problem, file=shown, fix="make it readable") from cause
    if size_bytes > limits.archive_bytes:
        raise BadSubmission(
            f"is larger than {limits.archive_bytes // MEBIBYTE} MiB",
            file=shown,
            fix="leave out .git, environments and data",
        )
    if other:
        problem = f"is {other}; only .zip, .tar and .tar.gz are read"
        raise BadSubmission(problem, file=shown, fix="unpack it, then " + _PACK)
    try:
        members = _members(archive, limits)
        found = survey(members, limits, shown)
        _Unpacking(tree, found, shown).all(members)
    except _BROKEN as cause:
        raise BadSubmission(
            f"is damaged, or not the archive its name says ({type(cause).__name__})", file=shown, fix=_PACK
        ) from cause


def _members(archive: Path, limits: SubmissionLimits) -> Members:
    """By what the file is; browsers unpack `.tar.gz` and leave the name. Where it is neither, by its name."""
    with archive.open("rb") as stream:
        begins = stream.read(4)
    if begins in _ZIP or archive.name.lower().endswith(".zip"):
        return ZipMembers(archive)
    return TarMembers(archive, limits.unpacked_bytes, gzipped=begins.startswith(_GZIP))


class _Unpacking:
    """The second reading: every member goes where it belongs, or is left out."""

    def __init__(self, tree: Tree, found: Survey, shown: str) -> None:
        self._tree = tree
        self._found = found
        self._shown = shown

    def all(self, members: Members) -> None:
        for member in members:
            place = self._found.place(member.name)
            if place.left_out:
                self._tree.leave_out(place.left_out)
            elif place.path:
                self._one(member, place.path)

    def _one(self, member: Member, path: str) -> None:
        if member.encrypted:
            raise BadSubmission("is encrypted", file=self._shown, fix="pack it without a password")
        if member.method:
            problem = f"is compressed by method {member.method}"
            raise BadSubmission(problem, file=file_name(path), fix="pack with plain zip (deflate)")
        if member.kind is MemberKind.FOLDER:
            self._tree.folder(path)
        elif member.kind is MemberKind.LINK:
            self._tree.link(path, member.target())
        elif member.kind is MemberKind.HARD_LINK:
            self._hard_link(member.target(), path)
        else:
            if member.mode:
                check_kind(member.mode, path)
            with member.open() as content:
                self._tree.file(path, content, executable=member.executable)

    def _hard_link(self, target: str, path: str) -> None:
        """A second name of a file that came before becomes a copy of it."""
        place = self._found.place(target).path
        copied = self._tree.copied(place) if place else None
        if copied is None:
            problem = f"is a hard link to {file_name(target)}, which is no file of this archive"
            raise BadSubmission(problem, file=file_name(path), fix="pack the file itself")
        with copied.open("rb") as content:
            self._tree.file(path, content, executable=bool(copied.stat().st_mode & stat.S_IXUSR))
