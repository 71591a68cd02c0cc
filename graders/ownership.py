"""Folders and processes that belong to one run, and the sweep that removes what a dead run left.

An owned folder is locked by its owner for as long as the owner lives. The kernel drops the lock with
the process, whatever killed it, so a folder whose lock can be taken has no owner. Processes are
recorded in it by pid and start time: a recycled pid is never mistaken for ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from graders.paths import state_folder

_LOCK = "owner.lock"
_PROCESSES = "processes"

_held: set[OwnedFolder] = set()


class OwnedFolder:
    """A private folder under the state folder, removed on exit or by the next run's `sweep`."""

    def __init__(self, kind: str, name: str = "") -> None:
        """Make the folder `<kind>-<name>-<random>` and lock it."""
        prefix = f"{kind}-{name}-" if name else f"{kind}-"
        with _sweep_lock():
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=state_folder()))
            (self.path / _PROCESSES).mkdir()
            self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        _held.add(self)

    def record(self, pid: int) -> None:
        """Remember that process `pid` dies with this folder."""
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(pid).create_time()
            (self.path / _PROCESSES / str(pid)).write_text(repr(started))

    def close(self) -> None:
        """Kill what was recorded and still runs, remove the folder, drop the lock."""
        _held.discard(self)
        remove_unowned(self.path)
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def release_all() -> None:
    """Close every owned folder of this process, newest first: for an end that cannot unwind."""
    for folder in sorted(_held, key=lambda held: held.path.stat().st_ctime_ns, reverse=True):
        folder.close()


def sweep() -> list[str]:
    """Remove every folder (and kill every recorded process) whose owner is dead; returns their names."""
    swept = []
    with _sweep_lock():
        for folder in sorted(state_folder().iterdir()):
            if not folder.is_dir() or folder.is_symlink() or has_owner(folder):
                continue
            remove_unowned(folder)
            swept.append(folder.name)
    return swept


def has_owner(folder: Path) -> bool:
    """Whether a living process holds the lock of `folder`."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def remove_unowned(folder: Path) -> None:
    """Kill the processes recorded in `folder` and remove it."""
    for process in _recorded(folder):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    shutil.rmtree(folder, onerror=_make_writable)


def _recorded(folder: Path) -> Iterator[psutil.Process]:
    records = folder / _PROCESSES
    if not records.is_dir():
        return
    for record in records.iterdir():
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            process = psutil.Process(int(record.name))
            if abs(process.create_time() - float(record.read_text())) < 0.05:
                yield process


def _make_writable(_function: object, name: str, _error: object) -> None:
    """A folder a learner made read-only is still ours to remove."""
    path = Path(name)
    with contextlib.suppress(OSError):
        path.parent.chmod(0o700)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextlib.contextmanager
def _sweep_lock() -> Iterator[None]:
    """Keeps a sweep from meeting a folder between its making and its locking."""
    lock = os.open(state_folder() / ".sweep", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
