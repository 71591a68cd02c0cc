"""How many gradings run on this machine at once, whoever started them: each holds a slot, or waits for one.

A slot is a file that its holder locks; the kernel drops the lock with the process, whatever killed it.
Gradings measure time: more than the machine has room for would spoil each other's measurements.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from graders.faults import UsageError
from graders.polling import NotYet, wait_for
from graders.progress import Progress

AT_ONCE = "KUBEPROOF_AT_ONCE"
"""Says how many gradings this machine has room for, where its cores and memory say it wrongly."""

MEMORY_MIB = 1536
"""What a grading takes: a control plane, the submission's own processes, the record."""

_LOOKS_EVERY_S = 0.1
_FOR_EVER_S = 10.0**9


def capacity() -> int:
    """How many gradings this machine has room for: one a core, as far as memory goes; at least one.

    Raises:
        UsageError: `KUBEPROOF_AT_ONCE` is set, and is no whole number from 1 up.
    """
    if given := os.environ.get(AT_ONCE):
        if not given.isdecimal() or int(given) < 1:
            raise UsageError(
                f"{AT_ONCE}={given} is no whole number from 1 up", fix=f"correct or unset {AT_ONCE}"
            )
        return int(given)
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, psutil.virtual_memory().total // (MEMORY_MIB * 2**20)))


@contextmanager
def grading_slot(progress: Progress) -> Iterator[None]:
    """Hold one of the machine's slots while the block runs; whoever has to wait is told, and keeps its turn.

    Raises:
        UsageError: as `capacity`.
    """
    most, folder = capacity(), _folder()
    slot = _free(folder, most)
    if slot is None:
        # One at a time looks for a free slot: the others queue behind it.
        turn = _open(folder / "turn")
        try:
            with progress.task(f"waiting for {most} other grading{'s' * (most > 1)} on this machine"):
                fcntl.flock(turn, fcntl.LOCK_EX)
                slot = wait_for(
                    lambda: _free_now(folder, most), timeout_s=_FOR_EVER_S, interval_s=_LOOKS_EVERY_S
                )
        finally:
            os.close(turn)
    try:
        yield
    finally:
        os.close(slot)


def _free_now(folder: Path, most: int) -> int:
    slot = _free(folder, most)
    if slot is None:
        raise NotYet("all slots are taken")
    return slot


def _free(folder: Path, most: int) -> int | None:
    """A slot that is ours now, as an open file; None where all are taken."""
    for number in range(most):
        descriptor = _open(folder / f"slot-{number}")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    return None


def _folder() -> Path:
    """The folder of the slots, which everybody on this machine shares."""
    folder = Path(tempfile.gettempdir()) / "kubeproof-gradings"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # (another user made it, and did this)
        folder.chmod(0o1777)
    return folder


def _open(file: Path) -> int:
    """Open a lock file, which need not be ours.

    Not with O_CREAT alone: in such a folder kernels refuse that for what another user has.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.fchmod(descriptor, 0o644)
        return descriptor
    return os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
