"""Installs hash-locked wheels with pip, told about by a progress line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path

from graders.faults import InfraFault
from graders.process import kill_group, spawn
from graders.progress import Progress

_TAIL_LINES = 8
_PIN = re.compile(r"^[A-Za-z0-9]")


def install_wheels(
    lock: Path,
    title: str,
    progress: Progress,
    *,
    target: Path | None = None,
    interpreter: Path | None = None,
) -> None:
    """Install what `lock` pins: wheels only, each checked against its hash, nothing resolved or compiled.

    They go into the folder `target`, or into the environment of `interpreter`. `title` is what the
    progress line says.

    Raises:
        InfraFault: pip is missing, a wheel cannot be fetched, or one does not match its hash.
    """
    command = [sys.executable, "-I", "-m", "pip"]
    command += ["--python", str(interpreter)] if interpreter else []
    command += ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input"]
    command += ["--progress-bar", "off", "-r", str(lock)]
    command += ["--target", str(target), "--no-compile"] if target else []
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    pins = sum(bool(_PIN.match(line)) for line in lock.read_text().splitlines())
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    seen = 0
    with progress.task(title, total=pins) as task:
        process = spawn(command, environment=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        try:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace").strip()
                tail.append(line)
                if line.startswith("Collecting "):
                    seen += 1
                    task.update(done=seen, detail=line.split()[1])
                elif line.startswith("Installing "):
                    task.update(done=pins, detail="installing")
            status = process.wait()
        finally:
            kill_group(process)
            process.stdout.close()
    if status != 0:
        raise InfraFault(
            f"{title}: pip failed (exit {status}):\n    " + "\n    ".join(tail),
            fix="check that this machine reaches a Python package index (pip's own settings are used), "
            "then run `kubeproof setup` again",
        )
