"""Makes a costly thing once, however many processes want it, and leaves nothing half-made.

The maker holds a file lock that the kernel drops with the process, whatever killed it. Work happens in
a scratch folder beside the result; what a dead maker left there goes when the next one takes the lock.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graders.progress import Progress

_SCRATCH = ".making-"


@contextmanager
def one_at_a_time(lock: Path, what: str, progress: Progress) -> Iterator[None]:
    """Hold `lock` while the block runs; whoever has to wait for it is told for which process.

    The caller looks again inside the block whether the thing is still wanted: another process may just
    have made it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            with progress.task(f"{what}: waiting for another kubeproof (pid {holder or 'unknown'})"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """An empty folder in `beside`, on the same file system, removed when the block ends.

    Call it under the lock of `beside`: scratch folders of makers that died are removed first.
    """
    beside.mkdir(parents=True, exist_ok=True)
    for leftover in beside.glob(f"{_SCRATCH}*"):
        remove_tree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=beside))
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove `folder` if it is there, also where something made parts of it read-only."""

    def unlock(_function: object, path: str, _error: object) -> None:
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    if folder.exists():
        shutil.rmtree(folder, onerror=unlock)
