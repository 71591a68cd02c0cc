"""A checked copy of a submission's files, wherever they come from.

Folders and archives both feed a `Tree`, entry by entry, and every rule about paths, kinds, numbers and
sizes is enforced here, on the bytes that are copied: what was checked is what is graded. Links are
made last, once all of them are known to stay inside, so nothing is ever written through one.
"""

import contextlib
import hashlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from graders.documents.wording import file_name, quote
from graders.faults import BadSubmission, InfraFault
from graders.submissions.limits import MEBIBYTE, SubmissionLimits

_CHUNK = 256 * 1024
_FOLLOWED = 40
_LONGEST_TARGET = 4096
_PROGRAMS = (b"#!", b"\x7fELF")
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the text after them around, so that a name reads as another."""


class Tree:
    """Takes the files of one submission; `destination` None checks and digests without a copy."""

    def __init__(
        self, destination: Path | None, limits: SubmissionLimits, *, same_case: bool = False
    ) -> None:
        """Begin a copy in the new folder `destination`.

        `same_case` refuses names that differ in case or Unicode form alone, as an archive may hold
        to become another tree where it is unpacked next.
        """
        self._destination = destination
        self._limits = limits
        self._same_case = same_case
        self._folders: set[str] = {""}
        self._files: dict[str, tuple[bool, bytes]] = {}
        self._links: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._total_bytes = 0
        self._left_out: dict[str, None] = {}
        if destination is not None:
            destination.mkdir()
            destination.chmod(0o755)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was found where the submission came from and is no part of it."""
        return tuple(self._left_out)

    def leave_out(self, path: str) -> None:
        """Take note of something that is no part of the submission."""
        if len(self._left_out) <= self._limits.files:
            self._left_out[path] = None

    def folder(self, path: str) -> None:
        """Add a folder and those it stands in.

        Raises:
            BadSubmission: the path breaks a rule.
        """
        if path in self._folders:
            return
        self._claim_below_parent(path)
        self._folders.add(path)
        if self._destination is not None:
            with _writing(path):
                (self._destination / path).mkdir()
                (self._destination / path).chmod(0o755)

    def file(self, path: str, content: IO[bytes], *, executable: bool | None) -> None:
        """Add a regular file, reading `content` to its end or to the limit.

        Where nobody knows if it is `executable` (None), its first bytes say so: `#!`, or a program's.

        Raises:
            BadSubmission: the path breaks a rule or the content is too large.
            InfraFault: the copy cannot be written.
        """
        self._claim_below_parent(path)
        summed = hashlib.sha256()
        size_bytes = 0
        with contextlib.ExitStack() as stack:
            out: IO[bytes] | None = None
            if self._destination is not None:
                with _writing(path):
                    # The destination is new and holds no links yet, so a path in it is what it says.
                    out = stack.enter_context((self._destination / path).open("xb", buffering=0))
            while chunk := content.read(_CHUNK):
                if executable is None:
                    executable = chunk.startswith(_PROGRAMS)
                size_bytes += len(chunk)
                self._total_bytes += len(chunk)
                self._check_size(path, size_bytes)
                summed.update(chunk)
                while out is not None and chunk:
                    with _writing(path):
                        chunk = chunk[out.write(chunk) :]
            if out is not None:
                with _writing(path):
                    os.fchmod(out.fileno(), 0o755 if executable else 0o644)
        self._files[path] = (bool(executable), summed.digest())

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link; where it leads is judged by `finish`.

        Raises:
            BadSubmission: the path or the target breaks a rule.
        """
        self._claim_below_parent(path)
        if not target or len(target) > _LONGEST_TARGET or _odd_character(target):
            raise BadSubmission(
                "is a link with an odd target", file=file_name(path), fix="replace the link by the file"
            )
        self._links[path] = target

    def copied(self, path: str) -> Path | None:
        """The copy of the regular file `path`, if it was added and a copy is made."""
        return self._destination / path if self._destination is not None and path in self._files else None

    def finish(self) -> str:
        """Judge and make the links; returns the digest, `sha256:<hex>`.

        The digest is over the sorted paths with, for each file, whether it is executable and its
        content, and for each link its target. Empty folders do not count.

        Raises:
            BadSubmission: a link leads out of the submission or into a folder it stands in.
        """
        for path, target in self._links.items():
            self._judge_link(path, target)
        summed = hashlib.sha256()
        for path in sorted((*self._files, *self._links)):
            if path in self._files:
                executable, content = self._files[path]
                kind = b"x" if executable else b"f"
            else:
                kind, content = b"l", hashlib.sha256(os.fsencode(self._links[path])).digest()
            summed.update(os.fsencode(path) + b"\0" + kind + content)
        if self._destination is not None:
            for path, target in self._links.items():
                with _writing(path):
                    (self._destination / path).symlink_to(target)
        return f"sha256:{summed.hexdigest()}"

    def _claim_below_parent(self, path: str) -> None:
        problem = path_problem(path, self._limits)
        if problem:
            raise BadSubmission(problem, file=file_name(path), fix="rename or remove it")
        self.folder(path.rpartition("/")[0])
        self._claim(path)

    def _claim(self, path: str) -> None:
        shown = file_name(path)
        key = _looks(path) if self._same_case else path
        if key in self._taken:
            other = self._taken[key]
            same = (
                "is there twice" if other == path else f"differs from {quote(other)} in case or accents only"
            )
            raise BadSubmission(same, file=shown, fix="keep one of the two")
        self._taken[key] = path
        if len(self._taken) > self._limits.files:
            raise BadSubmission(
                f"the submission holds over {self._limits.files} files and folders",
                file=shown,
                fix="leave out generated files, environments and data",
            )

    def _check_size(self, path: str, size_bytes: int) -> None:
        if size_bytes > self._limits.file_bytes:
            problem = f"is larger than {_size(self._limits.file_bytes)}"
            raise BadSubmission(
                problem,
                file=file_name(path),
                fix="leave it out, or make it smaller: a program, for instance, by `strip`",
            )
        if self._total_bytes > self._limits.total_bytes:
            raise BadSubmission(
                f"the submission is larger than {_size(self._limits.total_bytes)} in all",
                file=file_name(path),
                fix="leave out generated files, environments and data",
            )

    def _judge_link(self, path: str, target: str) -> None:
        shown = file_name(path)
        ends_at = self._resolve(path.rpartition("/")[0], target)
        if ends_at is None:
            raise BadSubmission(
                f"is a link that leaves the submission (to {quote(target)})",
                file=shown,
                fix="replace the link by a copy of what it points to",
            )
        if ends_at == "" or path.startswith(f"{ends_at}/"):
            raise BadSubmission(
                f"is a link to a folder that contains it ({quote(target)})", file=shown, fix="remove the link"
            )

    def _resolve(self, folder: str, target: str) -> str | None:
        """Where `target` seen from `folder` ends, through all links; None if that is outside."""
        where = folder.split("/") if folder else []
        ahead = target.split("/")[::-1]
        followed = 0
        if target.startswith("/"):
            return None
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not where:
                    return None
                where.pop()
                continue
            where.append(part)
            onward = self._links.get("/".join(where))
            if onward is not None:
                followed += 1
                if followed > _FOLLOWED:
                    return None
                where.pop()
                ahead.extend(onward.split("/")[::-1])
        return "/".join(where)


def path_problem(path: str, limits: SubmissionLimits) -> str:
    """What is wrong with a path inside a submission; empty if nothing is."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        return "is a path that leads out of the submission"
    if odd := _odd_character(path):
        return f"has control or unreadable characters, or a backslash, in its name (U+{ord(odd):04X})"
    if len(parts) > limits.depth:
        return f"stands over {limits.depth} folders deep"
    if any(len(part.encode()) > limits.name_bytes for part in parts):
        return f"has a name of over {limits.name_bytes} bytes"
    return ""


def _odd_character(text: str) -> str:
    # Cc control, Cs undecodable, Zl and Zp line ends. Of Cf, format, joiners belong to how people write.
    refused = ("Cc", "Cs", "Zl", "Zp")
    odd = (c for c in text if c == "\\" or c in _TURNING or unicodedata.category(c) in refused)
    return next(odd, "")


def _looks(path: str) -> str:
    """What names have in common that cannot be told apart everywhere."""
    seen = "".join(c for c in path if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", seen).casefold()


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """A disk that is full is not the learner's fault."""
    try:
        yield
    except OSError as cause:
        raise InfraFault(
            f"the copy of {quote(path)} cannot be written: {cause.strerror}",
            fix="make room on the disk that holds the temporary folder, or set KUBEPROOF_STATE",
        ) from cause


def _size(size_bytes: int) -> str:
    return f"{size_bytes // MEBIBYTE} MiB" if size_bytes >= MEBIBYTE else f"{size_bytes} bytes"
