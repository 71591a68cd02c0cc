"""Folders and processes that belong to one run, and the sweep that removes what a dead run left.

An owned folder is locked by its owner for as long as the owner lives. The kernel drops the lock with
the process, whatever killed it, so a folder whose lock can be taken has no owner. Processes are
recorded in it by pid and start: a recycled pid is never mistaken for ours. A kind of folder whose owner
changes things outside of it has an undoer, which reads in the folder what to put back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Self

import psutil

from graders.paths import state_folder
from graders.polling import NotYet, TimedOut, wait_for

_LOCK = "owner.lock"
_PROCESSES = "processes"
_GONE_WITHIN_S = 5.0

ENGINE = "engine"
"""The kind of folder that a Docker engine of ours lives in."""

KIND = "kind"
"""The kind of folder that belongs to a kind cluster."""

IMAGES = "images"
"""The kind of folder that says which images and containers of an engine are ours."""

GUEST = "guest"
"""The kind of folder that says what is ours in somebody's cluster."""

_UNDOERS: Mapping[str, str] = {
    ENGINE: "graders.clusters.engine.undo:undo",
    GUEST: "graders.clusters.existing.cleanup:undo",
    KIND: "graders.clusters.kind.traces:undo",
    IMAGES: "graders.images.undo:undo",
}
"""For a kind of folder, what is called with it before it is removed; imported only then."""

_held: dict[OwnedFolder, None] = {}
"""The folders of this process, in the order of their making."""


class AlreadyOwned(Exception):
    """A living process owns the folder of that kind and name."""


class NotUndone(Exception):
    """An undoer could not put everything back: the folder stays, and the next sweep tries again."""


class OwnedFolder:
    """A private folder under the state folder, removed on exit or by the next run's `sweep`."""

    def __init__(self, kind: str, name: str = "", *, alone: bool = False) -> None:
        """Make the folder `<kind>-<name>-<random>` and lock it; `alone` allows one owner for a name.

        Raises:
            AlreadyOwned: `alone`, and a living process has a folder of this kind and name.
        """
        prefix = f"{kind}-{name}" if name else kind
        with _sweep_lock():
            if alone and next(owned_folders(prefix), None) is not None:
                raise AlreadyOwned(prefix)
            self.path = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=state_folder()))
            (self.path / _PROCESSES).mkdir()
            self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        _held[self] = None

    def record(self, pid: int) -> None:
        """Remember that process `pid` dies with this folder."""
        with contextlib.suppress(ProcessLookupError):
            (self.path / _PROCESSES / str(pid)).write_text(start_of(pid))

    def close(self) -> str:
        """Kill what was recorded and still runs, remove the folder, drop the lock.

        Where its doings cannot be undone the folder stays, for the next sweep to try again; says why.
        """
        left = ""
        try:
            remove_unowned(self.path)
        except NotUndone as error:
            left = str(error)
        finally:
            # Not before: a signal may stop this thread half way, and whoever cleans up goes by what is held.
            _held.pop(self, None)
        lock, self._lock = self._lock, -1
        with contextlib.suppress(OSError):
            os.close(lock)
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def release_all() -> list[str]:
    """Close every owned folder of this process, newest first: for an end that cannot unwind.

    It reaps every child that is dead, so nothing but the end may come after it; says what stayed undone.
    """
    left = []
    while held := list(_held):
        left.append(held[-1].close())
    # Nobody else may ever wait for what was just killed: not every container has an init that does.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [why for why in left if why]


def sweep(tell: Callable[[str], object] = lambda _: None) -> list[str]:
    """Remove every folder (and kill every recorded process) whose owner is dead; returns their names.

    `tell` is given a line for each folder that had to be left, because what it records could not be undone.
    """
    swept = []
    with _sweep_lock():
        for folder in sorted(state_folder().iterdir()):
            if not folder.is_dir() or folder.is_symlink() or has_owner(folder):
                continue
            try:
                remove_unowned(folder)
            except NotUndone as left:
                tell(f"{folder.name}: {left}")
            else:
                swept.append(folder.name)
    return swept


def owned_folders(prefix: str) -> Iterator[Path]:
    """The folders `<prefix>-<random>` that have a living owner."""
    for folder in sorted(state_folder().iterdir()):
        if folder.name.rpartition("-")[0] == prefix and folder.is_dir() and has_owner(folder):
            yield folder


def has_owner(folder: Path) -> bool:
    """Whether a living process holds the lock of `folder`."""
    try:
        lock = _open_lock(folder)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def remove_unowned(folder: Path) -> None:
    """Kill the processes recorded in `folder`, wait until they are gone, undo its doings, and remove it.

    Raises:
        NotUndone: something could not be put back; the folder is still there.
    """
    recorded = list(_recorded(folder))
    for process in recorded:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    with contextlib.suppress(TimedOut):
        wait_for(lambda: _gone(recorded), timeout_s=_GONE_WITHIN_S, interval_s=0.005)
    _undo(folder)
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    if folder.is_dir():
        # Folders without permissions or nested a thousand deep: learner content can be both.
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", os.fspath(folder)], capture_output=True, check=False)


def _undo(folder: Path) -> None:
    place = _UNDOERS.get(folder.name.partition("-")[0])
    if place is not None and folder.is_dir():
        module, _, function = place.partition(":")
        getattr(import_module(module), function)(folder)


def recorded_pids(folder: Path) -> list[int]:
    """The pids of the processes recorded in `folder` that still run."""
    return [process.pid for process in _recorded(folder)]


def start_of(pid: int) -> str:
    """When process `pid` started, in ticks of this boot: with the pid it names one process for good.

    Not a time of day, which moves when the clock is set.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    # The name of the program stands in parentheses and may hold anything, so count from its end.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


def _recorded(folder: Path) -> Iterator[psutil.Process]:
    records = folder / _PROCESSES
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        for record in sorted(records.iterdir()):
            with contextlib.suppress(psutil.NoSuchProcess, ValueError, OSError):
                process = psutil.Process(int(record.name))
                if record.read_text() == start_of(process.pid):
                    yield process


def _gone(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                raise NotYet(f"process {process.pid} still runs")


def _open_lock(folder: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(folder / _LOCK, flags)
    except PermissionError:
        # Whoever took our permissions away did not take the lock from its owner.
        folder.chmod(0o700)
        return os.open(folder / _LOCK, flags)


@contextlib.contextmanager
def _sweep_lock() -> Iterator[None]:
    """Keeps a sweep from meeting a folder between its making and its locking."""
    lock = os.open(state_folder() / ".sweep", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
