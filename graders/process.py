"""Starts programs that cannot outlive this one.

The kernel's parent-death signal is tied to the *thread* that forked, so every child is forked by one
thread that lives as long as the process does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")

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

    `environment` replaces the whole environment; None hands down ours.

    Raises:
        FileNotFoundError, PermissionError: the program cannot be started.
    """
    argv = ["setpriv", "--pdeathsig", "KILL", "--", *(os.fspath(word) for word in command)]
    return _FORKER.submit(
        subprocess.Popen,
        argv,
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
    ).result()


def kill_group(process: subprocess.Popen[bytes], *, timeout_s: float = 5.0) -> None:
    """SIGKILL the session that `spawn` made for `process` and reap it; quiet if it is gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
