"""The folder for results: one grading at a time writes to it."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from graders.faults import UsageError
from graders.progress import Progress
from graders.surroundings import make_folder

_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def results_in(folder: Path, progress: Progress) -> Iterator[None]:
    """Have `folder`, and nobody else write to it while the block runs; whoever has to wait is told.

    The folder itself is locked, so that no file is left in it. A file system without locks
    does without.

    Raises:
        UsageError: it is no folder, or not one that can be written.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make_folder(folder)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (PermissionError, FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"the results cannot be written here: {error.strerror}",
            file=folder,
            fix="name a folder of your own with --out",
        ) from error
    try:
        _lock(handle, folder, progress)
        yield
    except BaseException:
        # Whoever asked for what cannot be finds no folder that says something came of it.
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, progress: Progress) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with progress.task(f"waiting for another kubeproof, which writes its results to {folder}"):
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
