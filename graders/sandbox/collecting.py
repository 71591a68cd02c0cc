"""Takes out of a folder what learner code left in it, once nothing of the learner's runs.

All that is in it may have been made to harm who reads it. So each name is opened by itself below a folder
that is open already, never through a link, and is looked at before anything is read; what is made of it is
always a new plain file or folder.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from graders.faults import BadSubmission, InfraFault

PAGE_BYTES = 4096
_DEPTH = 48
_PATH_BYTES = 1024
_CHUNK_BYTES = 1 << 20


def collect_folder(folder: int, shown: str, destination: Path, most_bytes: int) -> None:
    """Copy the files and folders below the descriptor `folder`, which messages call `shown`.

    Raises:
        BadSubmission: they take more than `most_bytes`, in whole pages, or lie deeper than can be handled.
        InfraFault: the copy cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        made = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        undo.callback(shutil.rmtree, made)
        try:
            with _opened(".", folder) as (source, _), _closing(os.open(made, os.O_PATH)) as target:
                _Collection(shown, most_bytes).copy_folder(source, target, "")
            made.chmod(0o755)
            made.rename(destination)
        except OSError as error:
            raise InfraFault(
                f"what was left in {shown} cannot be copied: {error}", fix="make room on the disk"
            ) from error
        undo.pop_all()


class _Collection:
    """One copy under way, and how many bytes it may still take."""

    def __init__(self, shown: str, most_bytes: int) -> None:
        self._shown = shown
        self._most_bytes = most_bytes
        self._left_bytes = most_bytes

    def copy_folder(self, source: int, target: int, path: str) -> None:
        """Copy what is in the open folder `source`, `path` below the first one."""
        with os.scandir(source) as entries:
            for entry in entries:
                below = f"{path}/{entry.name}"
                with _opened(entry.name, source) as (descriptor, status):
                    self._take(below, status)
                    if descriptor < 0:
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        os.mkdir(entry.name, 0o700, dir_fd=target)
                        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                        with _closing(os.open(entry.name, flags, dir_fd=target)) as made:
                            self.copy_folder(descriptor, made, below)
                            os.fchmod(made, 0o755)
                    else:
                        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                        with _closing(os.open(entry.name, flags, 0o600, dir_fd=target)) as made:
                            _copy_bytes(descriptor, made, status.st_size)
                            os.fchmod(made, 0o755 if status.st_mode & stat.S_IXUSR else 0o644)

    def _take(self, path: str, status: os.stat_result) -> None:
        size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._left_bytes -= max(1, -(-size_bytes // PAGE_BYTES)) * PAGE_BYTES
        if self._left_bytes < 0:
            raise BadSubmission(
                f"it left more than {self._most_bytes} bytes in {self._shown}",
                fix="keep less there: each file counts with its full length, and with 4096 bytes at least",
            )
        if path.count("/") > _DEPTH or len(os.fsencode(path)) > _PATH_BYTES:
            raise BadSubmission(
                f"it left a path in {self._shown} that is too long",
                fix=f"use at most {_DEPTH} folders in each other and {_PATH_BYTES} bytes",
            )


@contextlib.contextmanager
def _opened(name: str, folder: int) -> Iterator[tuple[int, os.stat_result]]:
    """A file or folder open to be read, with its status; -1 for all else, which is not touched."""
    with _closing(os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)) as handle:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            yield -1, status
            return
        # What is looked at and what is read are the same, whatever the name stands for by now.
        same = f"/proc/self/fd/{handle}"
        needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(status.st_mode) else 0)
        if os.getuid() != 0 and status.st_mode & needed != needed:
            os.chmod(same, stat.S_IRWXU)  # noqa: PTH101 - it is no path
        with _closing(os.open(same, os.O_RDONLY)) as descriptor:
            yield descriptor, status


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _copy_bytes(source: int, target: int, size_bytes: int) -> None:
    while size_bytes > 0 and (chunk := os.read(source, min(size_bytes, _CHUNK_BYTES))):
        size_bytes -= len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
