"""Starts programs that cannot outlive this one.

The kernel's parent-death signal is tied to the *thread* that forked, so every child is forked by one
thread that lives as long as the process does.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from graders.faults import InfraFault

_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")

_SHOWN_CHARS = 600

_ending = threading.Event()

Stream = int | IO[bytes] | None


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own; it is killed when this process ends, however it ends.

    `environment` replaces the whole environment; None hands down ours. A program that is not there
    shows as exit status 127.

    Raises:
        OSError: no process can be started, or `folder` is not there, or `start_nothing_more` was called.
    """
    return _FORKER.submit(
        _open,
        dies_with(os.getpid(), command),
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
    ).result()


def run_to_end(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: Stream = subprocess.DEVNULL,
    timeout_s: float = 600.0,
) -> tuple[int, bytes, bytes]:
    """Run `command` to its end; gives its exit status, and what it printed to standard output and error.

    Raises:
        OSError: as `spawn`. subprocess.TimeoutExpired: it took longer than `timeout_s`, and was killed.
    """
    pipe = subprocess.PIPE
    with spawn(
        command, environment=environment, folder=folder, stdin=stdin, stdout=pipe, stderr=pipe
    ) as process:
        try:
            printed, errors = process.communicate(timeout=timeout_s)
        finally:
            kill_group(process)
    return process.returncode, printed, errors


def printed_by(
    command: Sequence[str | Path], title: str, *, stdin: Stream = subprocess.DEVNULL, timeout_s: float = 600.0
) -> str:
    """Run `command` to its end and give what it printed; `title` is what messages call it.

    Raises:
        InfraFault: it failed, or took longer than `timeout_s`.
    """
    try:
        status, printed, errors = run_to_end(command, stdin=stdin, timeout_s=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise InfraFault(f"{title} did not end within {timeout_s:.0f} s") from error
    if status != 0:
        raise InfraFault(f"{title} failed: {errors.decode('utf-8', 'replace').strip()[-_SHOWN_CHARS:]}")
    return printed.decode("utf-8", "replace")


@contextlib.contextmanager
def printing(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdout: Stream | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[str]]]:
    """Start `command`; gives it and the lines that it prints, as they come. It ends with the block.

    The lines are those of standard output and error together, or of the latter alone when `stdout` takes the
    former.

    Raises:
        OSError: as `spawn`.
    """
    together = stdout is None
    process = spawn(
        command,
        environment=environment,
        folder=folder,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
    )
    pipe = process.stdout if together else process.stderr
    assert pipe is not None
    try:
        yield process, (raw.decode("utf-8", "replace").rstrip("\n") for raw in pipe)
    finally:
        kill_group(process)
        pipe.close()


def start_nothing_more() -> None:
    """From now on `spawn` refuses: this process is ending, and its threads go on until it has.

    Safe in a signal handler: it waits for nobody.
    """
    _ending.set()


def _open(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
    if _ending.is_set():
        raise InterruptedError("kubeproof is ending and starts nothing more")
    return subprocess.Popen(*command, **options)


def dies_with(parent: int, command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` as a child of `parent` or not at all.

    A parent that dies before its child has asked for the parent-death signal would leave it running
    for ever, so the child looks who its parent is once it has asked.
    """
    words = [os.fspath(word) for word in command]
    check = f'[ "$PPID" = {parent} ] && exec "$@"'
    return ["setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", check, "sh", *words]


def kill_group(process: subprocess.Popen[bytes], *, timeout_s: float = 5.0) -> None:
    """SIGKILL the session that `spawn` made for `process` and reap it; quiet if it is gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
