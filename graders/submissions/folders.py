"""A submission that is a folder, perhaps one that somebody works in at this moment.

Folders are opened relative to the folder they stand in and never through a link, so that a tree which
changes while it is read cannot lead out of itself.
"""

import errno
import os
import stat
from pathlib import Path

from graders.documents.wording import file_name
from graders.faults import BadSubmission, InfraFault, UsageError
from graders.submissions.leftout import CACHE, CACHE_SIGNATURE, MARKS, is_ignored
from graders.submissions.limits import SubmissionLimits
from graders.submissions.tree import Tree

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Rights, and a name that stands for something else than a moment ago.
_LEARNERS = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL)
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def read_folder(root: Path, tree: Tree, limits: SubmissionLimits) -> None:
    """Feed every file under `root` to `tree`, in order of name; what is no part of a submission is left out.

    Raises:
        BadSubmission: something in the folder breaks a rule, with its path inside the folder.
        UsageError: the folder itself cannot be opened.
    """
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as cause:
        problem = f"the submission cannot be opened: {cause.strerror}"
        raise UsageError(problem, file=root, fix="give its owner and you the right to read it") from cause
    walk = _Walk(tree, limits)
    try:
        walk.folder(handle, "")
    finally:
        os.close(handle)
    walk.judge_hard_links()


class _Walk:
    """One reading of one folder."""

    def __init__(self, tree: Tree, limits: SubmissionLimits) -> None:
        self._tree = tree
        self._limits = limits
        self._entries = 0
        self._names: dict[tuple[int, int], list[str]] = {}
        self._names_wanted: dict[tuple[int, int], int] = {}

    def folder(self, handle: int, prefix: str) -> None:
        """Read the open folder `handle`; `prefix` is its path with a slash, or empty."""
        for name in self._list(handle, prefix):
            path = prefix + name
            try:
                self._entry(handle, name, path)
            except FileNotFoundError as cause:
                problem = "vanished while the submission was read"
                raise BadSubmission(
                    problem, file=file_name(path), fix="grade it when nobody works in it"
                ) from cause
            except OSError as cause:
                if cause.errno not in _LEARNERS:
                    raise InfraFault(f"{file_name(path)} cannot be read: {cause.strerror}") from cause
                problem = f"cannot be read: {cause.strerror}"
                raise BadSubmission(
                    problem, file=file_name(path), fix="make it readable (chmod u+rX)"
                ) from cause

    def judge_hard_links(self) -> None:
        """A file with more names than the submission has for it is somebody else's file too."""
        for inode, names in self._names.items():
            if len(names) < self._names_wanted[inode]:
                raise BadSubmission(
                    "is a hard link to a file outside the submission",
                    file=file_name(names[0]),
                    fix="replace it by a copy (cp it to a new name, then mv that over it)",
                )

    def _list(self, handle: int, prefix: str) -> list[str]:
        names = []
        with os.scandir(handle) as found:
            for entry in found:
                # Counted while listing: a folder of a million files is not even listed to its end.
                self._entries += 1
                if self._entries > self._limits.files:
                    raise BadSubmission(
                        f"the submission holds over {self._limits.files} files and folders",
                        file=file_name(prefix + entry.name),
                        fix="leave out generated files, environments and data",
                    )
                if is_ignored(entry.name):
                    self._tree.leave_out(prefix + entry.name)
                else:
                    names.append(entry.name)
        return sorted(names)

    def _entry(self, parent: int, name: str, path: str) -> None:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            self._tree.link(path, os.readlink(name, dir_fd=parent))
        elif stat.S_ISDIR(found.st_mode):
            handle = os.open(name, _FOLDER, dir_fd=parent)
            try:
                if any(_bears(handle, mark) for mark in MARKS):
                    self._tree.leave_out(path)
                else:
                    self._tree.folder(path)
                    self.folder(handle, f"{path}/")
            finally:
                os.close(handle)
        else:
            check_kind(found.st_mode, path)
            self._file(parent, name, path)

    def _file(self, parent: int, name: str, path: str) -> None:
        with os.fdopen(os.open(name, _FILE, dir_fd=parent), "rb") as stream:
            # What was opened is judged, not what the name stood for a moment ago.
            found = os.fstat(stream.fileno())
            check_kind(found.st_mode, path)
            if found.st_nlink > 1:
                inode = (found.st_dev, found.st_ino)
                self._names.setdefault(inode, []).append(path)
                self._names_wanted[inode] = found.st_nlink
            self._tree.file(path, stream, executable=bool(found.st_mode & stat.S_IXUSR))


def _bears(folder: int, mark: str) -> bool:
    """Whether the open `folder` has the file `mark`, one of `MARKS`."""
    try:
        with os.fdopen(os.open(mark, _FILE, dir_fd=folder), "rb") as stream:
            plain = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            begins = stream.read(len(CACHE_SIGNATURE)) if plain and mark == CACHE else CACHE_SIGNATURE
    except OSError:
        return False
    return plain and begins == CACHE_SIGNATURE


def check_kind(mode: int, path: str) -> None:
    """Refuse what is neither a plain file nor without special rights; `mode` as in `os.stat`.

    Raises:
        BadSubmission: a device, pipe, socket, or a file with the setuid or setgid bit.
    """
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
        raise BadSubmission(
            f"is {kind}", file=file_name(path), fix="remove it; hand in files and folders only"
        )
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise BadSubmission("has the setuid or setgid bit", file=file_name(path), fix="chmod ug-s it")
