"""Starts a launcher in an enclosure and hands it the learner's command.

What kinds of sandbox share is here: scratch folders, the control socket, the log pipe, the order in
which a command comes to life (launcher, doors, writable mounts, files, command).
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from graders.faults import BadSubmission, InfraFault
from graders.process import kill_group, spawn
from graders.sandbox.channel import Channel
from graders.sandbox.logs import BoundedLog
from graders.sandbox.protocol import Rendered, SandboxSpec, View
from graders.sandbox.supervision import SandboxedProcess

LAUNCHER = Path(__file__).with_name("launcher.py")
BESIDE_LAUNCHER = tuple(Path(__file__).with_name(name) for name in ("probing.py", "unstartable.py"))
"""What the launcher imports."""
FIRST_PORT = 6443
"""Of the first door; the next ones follow."""
START_S = 30.0
_JOB_BYTES = 128 * 1024
_MESSAGE_BYTES = 256 * 1024
_Value = TypeVar("_Value", str, bytes)


@dataclass(frozen=True)
class Scratch:
    """Folders of one start, private to the harness; `files` is what the learner's process may read."""

    folder: Path
    files: Path

    @classmethod
    def make(cls, spec: SandboxSpec) -> Scratch:
        """Make them under `spec.folder`."""
        spec.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{spec.name}-", dir=spec.folder))
        return cls(folder, shared_folder(folder / "files"))


def shared_folder(folder: Path) -> Path:
    """Make `folder` such that the sandbox's user can read it, whatever umask or default ACL rules here."""
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@dataclass(frozen=True)
class Enclosure:
    """One kind of sandbox, made up for one start.

    `prefix` is the command that encloses the launcher, which stands at `launcher` in it; `view` has
    no doors yet. `copies` are pairs of folders in the view, from and to, for the launcher to copy before the
    command starts. `resources` is closed when all is over.
    """

    scratch: Scratch
    view: View
    confined: bool
    prefix: tuple[str, ...] = ()
    launcher: str = str(LAUNCHER)
    temporary: str = "/tmp"  # noqa: S108 - a tmpfs of the sandbox
    copies: tuple[tuple[str, str], ...] = ()
    descriptors: tuple[int, ...] = ()
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


def launch(spec: SandboxSpec, enclosure: Enclosure) -> SandboxedProcess:
    """Start `spec.command` in `enclosure`, which is closed again if that fails.

    Raises:
        BadSubmission: command and environment are larger than a sandbox takes.
        InfraFault: the launcher does not come up.
    """
    with contextlib.ExitStack() as undo:
        undo.callback(enclosure.resources.close)
        supervised = _start_launcher(spec, enclosure)
        undo.pop_all()
    try:
        _hand_over(spec, enclosure, supervised)
    except BaseException:
        with supervised:
            raise
    return supervised


def _start_launcher(spec: SandboxSpec, enclosure: Enclosure) -> SandboxedProcess:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MESSAGE_BYTES)
    out, into = os.pipe2(os.O_CLOEXEC)
    mode = "confined" if enclosure.confined else "plain"
    command = [str(spec.python), "-I", "-S", "-B", enclosure.launcher, str(theirs.fileno()), mode]
    with theirs, os.fdopen(into, "wb") as stream, contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        undo.callback(os.close, out)
        process = _spawn([*enclosure.prefix, *command], stream, theirs.fileno(), enclosure)
        undo.callback(kill_group, process)
        log = BoundedLog(enclosure.scratch.folder / "log")
        channel = Channel(ours, out, process, log, enclosure.resources)
        supervised = SandboxedProcess(channel, enclosure.view, spec.limits, enclosure.confined)
        undo.pop_all()
    supervised.watch()
    return supervised


def _spawn(
    command: list[str], stream: IO[bytes], control: int, enclosure: Enclosure
) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    try:
        return spawn(
            command,
            environment=environment,
            stdout=stream,
            stderr=stream,
            pass_fds=(control, *enclosure.descriptors),
        )
    except OSError as error:
        raise InfraFault(
            f"cannot start the sandbox: {error}", fix="see what `kubeproof doctor` says"
        ) from error


def _hand_over(spec: SandboxSpec, enclosure: Enclosure, supervised: SandboxedProcess) -> None:
    supervised.await_launcher(START_S)
    ports = {door: spec.ports.get(door, FIRST_PORT + at) for at, door in enumerate(spec.doors)}
    supervised.open_doors(ports if enclosure.confined else dict.fromkeys(spec.doors, 0))
    view = supervised.view
    supervised.hold_folders({each.target: view.mounts[each.target] for each in spec.mounts if each.writable})
    files = _rendered(spec.files, view)
    for name, content in files.items():
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no plain file name")
        path = enclosure.scratch.files / name
        path.write_bytes(content)
        path.chmod(0o444)
    environment = _base_environment(spec, view, enclosure) | dict(_rendered(spec.environment, view))
    limits = spec.limits
    job = {
        "command": list(spec.command),
        "environment": environment,
        "folder": view.working_folder,
        "copies": [list(pair) for pair in enclosure.copies],
        "readable": [
            *_of_the_house(spec, view),
            view.submission,
            *(f"{view.files}/{name}" for name in files),
        ],
        "writable": [view.home, enclosure.temporary],
        "limits": {
            "cpu_s": limits.cpu_s,
            "memory_bytes": limits.memory_bytes,
            "data_bytes": limits.data_bytes,
            "pids": limits.pids,
            # Counted by user: only where the user is the sandbox's own does it say anything.
            "own_pids": limits.pids if enclosure.confined else None,
            "open_files": limits.open_files,
            "file_bytes": limits.file_bytes,
            "core_bytes": 0,
            "wall_s": limits.wall_s,
        },
    }
    message = marshal.dumps(job, 2)
    if len(message) > _JOB_BYTES:
        raise BadSubmission(
            f"command and environment take {len(message)} bytes, over {_JOB_BYTES}",
            file="submission.yaml",
            fix="shorten the command or its environment",
        )
    supervised.run(message, START_S)


def _of_the_house(spec: SandboxSpec, view: View) -> list[str]:
    """What is the harness's own in the view: it may have been made where nobody else should read it."""
    mounted = (view.mounts[mount.target] for mount in spec.mounts if not mount.writable)
    return [str(spec.base), str(spec.venv), str(spec.python), *mounted]


def _base_environment(spec: SandboxSpec, view: View, enclosure: Enclosure) -> dict[str, str]:
    return {
        "PATH": f"{spec.venv}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": view.home,
        "USER": "learner",
        "LOGNAME": "learner",
        "LANG": "C.UTF-8",
        "TMPDIR": enclosure.temporary,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _rendered(value: Rendered[_Value], view: View) -> Mapping[str, _Value]:
    return value(view) if callable(value) else value
