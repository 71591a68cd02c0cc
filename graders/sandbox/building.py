"""Runs `operator.build` once, in a sandbox without network, and brings out what it made.

The build works on a copy of the submission in the sandbox's own memory. What comes out is a stream of files
that learner code may have made up: every path, size and count is checked here, and only plain files come
to be.
"""

from __future__ import annotations

import io
import os
import selectors
import shlex
import socket
import struct
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from graders.faults import BadSubmission, InfraFault
from graders.sandbox.enclosure import shared_folder
from graders.sandbox.goruntime import FLAGS, LAYER, GoRuntime, compiled_already
from graders.sandbox.protocol import MIB, ExitStatus, Reason, Sandbox, SandboxSpec, View
from graders.sandbox.supervision import SandboxedProcess

HANDOVER = Path(__file__).with_name("handover.py")
_DOOR = "handover"
_FRONT = "front"
"""The folder in HOME with the go command that a build finds first."""

_POLL_S = 0.1
_IDLE_S = 30.0
_HEADER = struct.Struct("!HHQ")
_CHUNK_BYTES = 1 << 20
_LINES = 8
_LONGEST_LINE = 300
_NO_NETWORK = (
    "network, so what it needs has to be in your folder; or hand in what it makes, and no operator.build"
)


@dataclass(frozen=True)
class HandoverLimits:
    """How much a build may hand over."""

    files: int = 20_000
    file_bytes: int = 512 * MIB
    total_bytes: int = 768 * MIB
    path_bytes: int = 1024
    depth: int = 48


@dataclass(frozen=True)
class Build:
    """One build: `base` says what submission, where and under which limits; `go` is there if it is in Go."""

    command: tuple[str, ...]
    base: SandboxSpec
    go: GoRuntime | None = None
    handover: HandoverLimits = HandoverLimits()


class _Nonsense(Exception):
    """What the build hands over breaks a rule."""


def build_submission(sandbox: Sandbox, build: Build, into: Path) -> Path:
    """Build, and put the whole built tree into the new folder `into`; gives that folder.

    Raises:
        BadSubmission: the build fails, uses more than it may, or hands over what cannot be taken.
        InfraFault: the sandbox is lost.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    shared_folder(into)
    problem, received = "", False
    with sandbox.start(_spec(build)) as process:
        try:
            received = _receive(process, process.doors[_DOOR], into, build.handover)
        except (_Nonsense, ConnectionError, TimeoutError) as error:
            problem = str(error)
        if problem:
            process.stop()
        status = process.wait(_IDLE_S)
        said = process.log_tail(200)
    _judge(build, status, said, problem, received)
    return into


def _spec(build: Build) -> SandboxSpec:
    command, go = build.command, build.go

    def files(view: View) -> dict[str, bytes]:
        own = {path.name: path.read_bytes() for path in (HANDOVER, LAYER, FLAGS)}
        if go:
            words = (f"{build.base.venv}/bin/python", "-I", f"{view.files}/{FLAGS.name}", str(go.go))
            own["go"] = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'.encode()
        return own

    def environment(view: View) -> dict[str, str]:
        own = go.environment(view, build.base.venv) if go else {}
        if go:
            own["PATH"] = f"{view.home}/{_FRONT}:{own['PATH']}"
        return {**own, "FILES": view.files, "HANDOVER": view.doors[_DOOR].rpartition(":")[2]}

    begin = ["exec nice -n 5", 'python -I "$FILES/handover.py" "$HANDOVER"']
    if go:
        begin.insert(0, f'install -D -m 755 "$FILES/go" "$HOME/{_FRONT}/go" &&')
        begin += ['python -I "$FILES/golayer.py"', shlex.quote(str(go.builds)), '"$GOCACHE"']
    return replace(
        build.base,
        command=("sh", "-c", f'{" ".join(begin)} "$@"', "build", *command),
        files=files,
        environment=environment,
        mounts=(*build.base.mounts, *(go.mounts if go else ())),
        writable_copy=True,
        doors=(_DOOR,),
    )


def _judge(build: Build, status: ExitStatus | None, said: str, problem: str, received: bool) -> None:
    shown = shlex.join(build.command)
    if status is None or status.reason is Reason.LOST:
        raise InfraFault(
            f"the sandbox of the build was lost: {status.detail if status else 'it does not end'}"
        )
    if problem:
        limits = build.handover
        in_all, each = limits.total_bytes // MIB, limits.file_bytes // MIB
        raise BadSubmission(
            f"`{shown}` made what cannot be taken over: {problem}",
            file="submission.yaml",
            fix="have it leave nothing running and, without what only building needs, at most "
            f"{limits.files} files, {in_all} MiB in all, {each} MiB each",
        )
    if status.code == 0 and received:
        return
    how = str(status) if status.code != 0 else "handed nothing over"
    raise BadSubmission(
        f"`{shown}` {how}: {_first_lines(said)}",
        file="submission.yaml",
        fix=next_step(said, build.base.limits.tmp_bytes, in_go=build.go is not None),
    )


def next_step(said: str, tmp_bytes: int, *, in_go: bool) -> str:
    """What to do about a build that failed and printed `said`."""
    if "no space left on device" in said.lower():
        fix = f"it filled /tmp or HOME, {tmp_bytes // MIB} MiB each"
        if not in_go:
            return f"{fix}: have it write less, or hand in what it makes, and no operator.build"
        modules = " ".join("@".join(each) for each in compiled_already())
        return f"{fix}, as compiling much anew does; these are compiled already: `go get {modules}`"
    return "run operator.build in a fresh copy of your folder and mend what it says; the sandbox has no " + (
        "network, and go.mod and go.sum must be complete" if in_go else _NO_NETWORK
    )


def _first_lines(text: str) -> str:
    """The compiler's first lines: later errors often follow from earlier ones."""
    printable = ("".join(c for c in line if c.isprintable()).strip() for line in text.splitlines())
    lines = [line[:_LONGEST_LINE] for line in printable if line]
    more = f" (and {len(lines) - _LINES} more lines)" if len(lines) > _LINES else ""
    return (" / ".join(lines[:_LINES]) or "it printed nothing") + more


def _receive(process: SandboxedProcess, listener: socket.socket, into: Path, limits: HandoverLimits) -> bool:
    """Take one stream of files; whether one came before the process ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while not selector.select(_POLL_S):
            if process.exit is not None:
                return False
    connection, _ = listener.accept()
    with connection, io.BufferedReader(socket.SocketIO(connection, "r"), _CHUNK_BYTES) as stream:
        connection.settimeout(_IDLE_S)
        _unpack(stream, into, limits, time.monotonic() + 10 * _IDLE_S)
    return True


def _unpack(
    stream: io.BufferedReader[socket.SocketIO], into: Path, limits: HandoverLimits, deadline: float
) -> None:
    count = total_bytes = 0
    while True:
        length, mode, size_bytes = _HEADER.unpack(_exactly(stream, _HEADER.size))
        if length == 0:
            return
        count, total_bytes = count + 1, total_bytes + size_bytes
        if count > limits.files or total_bytes > limits.total_bytes or size_bytes > limits.file_bytes:
            raise _Nonsense(f"more than {limits.files} files or {limits.total_bytes // MIB} MiB")
        if length > limits.path_bytes:
            raise _Nonsense("a path that is too long")
        path = _plain(_exactly(stream, length), limits)
        target = into.joinpath(*path.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise _Nonsense("a path that is there twice") from error
        except OSError as error:
            raise InfraFault(
                f"what was built cannot be written: {error}", fix="make room on the disk"
            ) from error
        with os.fdopen(descriptor, "wb") as file:
            left = size_bytes
            while left:
                if time.monotonic() > deadline:
                    raise _Nonsense("more than could be read in time")
                chunk = stream.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise _Nonsense("less than announced")
                file.write(chunk)
                left -= len(chunk)
            os.fchmod(file.fileno(), 0o755 if mode & 0o111 else 0o644)


def _plain(raw: bytes, limits: HandoverLimits) -> PurePosixPath:
    path = PurePosixPath(os.fsdecode(raw))
    strange = path.is_absolute() or b"\0" in raw or not path.parts or ".." in path.parts
    if strange or len(path.parts) > limits.depth or any(len(os.fsencode(p)) > 255 for p in path.parts):
        raise _Nonsense("a path that leads elsewhere")
    return path


def _exactly(stream: io.BufferedReader[socket.SocketIO], size_bytes: int) -> bytes:
    data = stream.read(size_bytes)
    if len(data) != size_bytes:
        raise _Nonsense("less than announced")
    return data
