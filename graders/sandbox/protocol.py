"""What a sandbox is asked for and what it gives back; no I/O here.

A sandbox runs one command of a learner's with nothing of the host in its view and no network. Its only
ways out are sockets the harness holds: the doors it was asked for, which the harness serves, connections
the harness dials to ports inside, and folders from which the harness takes what was left in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from graders.sandbox.supervision import SandboxedProcess

MIB = 1024 * 1024


class Reason(StrEnum):
    """Why a sandboxed process ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    HARNESS = "killed-by-harness"
    MEMORY = "memory"
    CPU = "cpu"
    PIDS = "pids"
    LOG = "log"
    WALL = "wall"
    LOST = "lost"
    """The sandbox went away without saying why: the machine killed it, or something inside did."""


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use, all its processes together unless said otherwise.

    `memory_bytes` bounds resident memory; each tmpfs (/tmp, HOME, /dev/shm) holds `tmp_bytes` on top of
    it, and the folder of `writable_copy` holds `work_bytes`. `data_bytes` bounds the writable private memory
    of one process, so that none outruns the watchdog; None for programs that reserve far more than they
    use. `pids` counts threads. `file_bytes` bounds one file. `log_bytes` is how much may be printed
    before it counts as an attack; far less is kept.
    """

    cpu_s: float = 900.0
    memory_bytes: int = 1024 * MIB
    data_bytes: int | None = 4096 * MIB
    pids: int = 256
    open_files: int = 4096
    file_bytes: int = 256 * MIB
    tmp_bytes: int = 256 * MIB
    work_bytes: int = 1024 * MIB
    wall_s: float | None = None
    log_bytes: int = 256 * MIB


@dataclass(frozen=True)
class Mount:
    """One more thing in the view: `source` read-only at `target`, or a folder there that may be written.

    A writable one begins as a copy of the folder `source`, or empty, and takes `size_bytes` in memory and
    a number of files that grows with it, never more. What is in it at the end can be collected.

    Raises:
        ValueError: `target` is no absolute path, or there is neither a source nor the right to write.
    """

    target: str
    source: Path | None = None
    size_bytes: int = 64 * MIB
    writable: bool = False

    def __post_init__(self) -> None:
        path = PurePosixPath(self.target)
        if not path.is_absolute() or ".." in path.parts or str(path) != self.target or self.target == "/":
            raise ValueError(f"{self.target!r} is no place for a mount: it takes a plain absolute path")
        if self.source is None and not self.writable:
            raise ValueError(
                f"the mount at {self.target} has nothing to show: name a source, or let it be written"
            )


@dataclass(frozen=True)
class View:
    """Where things are, as the learner's process sees them.

    `working_folder` is `submission`, or the writable copy of it. `doors` has `host:port` for each door
    asked for, `mounts` the path of each mount by its target.
    """

    submission: str
    working_folder: str
    files: str
    home: str
    doors: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)


_DOOR = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_Value = TypeVar("_Value", str, bytes)
Rendered = Mapping[str, _Value] | Callable[[View], Mapping[str, _Value]]
"""A mapping, or a function that makes it once the places in the sandbox are known."""


@dataclass(frozen=True)
class SandboxSpec:
    """One command to run. `folder` is private to the harness and takes logs and the files below.

    `venv`, `python` and `base` are the runtime: a virtual environment, its interpreter, and the prefix
    of the Python it was made from. `files` appear read-only under `View.files`, each name plain.
    `doors` are names in kebab-case ("api", "etcd"): for each one port listens inside before the command
    starts, and the harness holds the listener. What is not named leads nowhere. `ports` says which ports
    they are where a sandbox has ports of its own; those it does not name get others.

    Raises:
        ValueError: a door's name is none, or two doors or two mounts are the same.
    """

    submission: Path
    command: tuple[str, ...]
    folder: Path
    venv: Path
    python: Path
    base: Path
    name: str = "learner"
    environment: Rendered[str] = field(default_factory=dict)
    files: Rendered[bytes] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    doors: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    writable_copy: bool = False

    def __post_init__(self) -> None:
        for door in self.doors:
            if not _DOOR.fullmatch(door):
                raise ValueError(f"{door!r} is no name of a door: it takes small letters, digits and hyphens")
        for names in (self.doors, tuple(mount.target for mount in self.mounts)):
            if len(set(names)) != len(names):
                raise ValueError(f"a sandbox has each door and each mount once, not {', '.join(names)}")


@dataclass(frozen=True)
class ExitStatus:
    """How it ended, at `at` on the monotonic clock; `code` and `signal` exclude each other."""

    reason: Reason
    at: float
    code: int | None = None
    signal: int | None = None
    detail: str = ""
    """For staff: what the sandbox itself reported when it was LOST."""

    def __str__(self) -> str:
        if self.reason is Reason.EXITED:
            return f"exited with code {self.code}"
        if self.reason is Reason.SIGNALLED:
            return f"was ended by signal {self.signal}"
        return _WORDS[self.reason]


_WORDS = {
    Reason.HARNESS: "was stopped by the grader",
    Reason.MEMORY: "was stopped: it used more memory than it may",
    Reason.CPU: "was stopped: it used more CPU time than it may",
    Reason.PIDS: "was stopped: it started more processes and threads than it may",
    Reason.LOG: "was stopped: it printed more than it may",
    Reason.WALL: "was stopped: it ran longer than it may",
    Reason.LOST: "ended together with its sandbox, for no reason the sandbox could report",
}


@dataclass(frozen=True)
class Usage:
    """What the processes of a sandbox use now, and the most seen at any sample; CPU is a sum so far."""

    cpu_s: float = 0.0
    rss_bytes: int = 0
    pids: int = 0
    peak_rss_bytes: int = 0
    peak_pids: int = 0


class Sandbox(Protocol):
    """A way to run learner code."""

    name: str
    caution: str
    """What the report must say about it; empty when learner code is confined."""

    def problem(self) -> str:
        """Why it cannot work on this machine and how to mend that; empty when it can."""

    def start(self, spec: SandboxSpec) -> SandboxedProcess:
        """Start the command.

        Raises:
            BadSubmission: command and environment are larger than a sandbox takes.
            InfraFault: the sandbox cannot be made here.
        """
