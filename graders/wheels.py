"""Installs wheels with pip, told about by a progress line: never anything that has to be built."""

import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.escapes import without_escapes
from graders.faults import InfraFault
from graders.process import kill_group, printing
from graders.progress import Progress

_TAIL_LINES = 8
_KEPT_LINES = 400
_LOOK_EVERY_S = 0.25
_PIN = re.compile(r"^[A-Za-z0-9]")
_ONE_MORE = ("Collecting ", "Processing ")
"""What pip says first of a package from an index, or from a folder."""

UNPACK_ONLY = (str(Path(__file__).with_name("unpack_only.py")),)
"""The `program` of `run_pip` for packages that a stranger names."""

_OLDEST_GLIBC = 5
"""Minor version of the oldest C library that wheels are made for."""

_WHEELS_ONLY = ("--only-binary", ":all:", "--no-input", "--progress-bar", "off")


@dataclass(frozen=True)
class PipRun:
    """How pip ended: its exit status, its last lines, how many packages it looked at."""

    status: int
    lines: tuple[str, ...]
    collected: int
    stopped: str = ""
    """What `watch` said when it stopped pip; empty if pip ended by itself."""


def run_pip(
    arguments: Sequence[str],
    title: str,
    progress: Progress,
    *,
    total: int | None = None,
    environment: Mapping[str, str] = os.environ,
    program: Sequence[str] = ("-m", "pip"),
    watch: Callable[[int], str] = lambda _: "",
) -> PipRun:
    """Run pip under the user's own settings of which index to ask; `program` says how Python finds it.

    `watch` is asked several times a second, with the number of packages looked at so far, and stops pip by
    giving a reason.
    """
    command = [sys.executable, "-I", *program, *arguments]
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    collected, stopped = 0, ""
    done = threading.Event()

    def look() -> None:
        nonlocal stopped
        while not done.wait(_LOOK_EVERY_S):
            if stopped := watch(collected):
                kill_group(process)
                return

    with progress.task(title, total=total) as task:
        own = {**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
        with printing(command, environment=own) as (process, printed):
            watching = threading.Thread(target=look, name="watching pip", daemon=True)
            watching.start()
            try:
                for line in map(str.strip, map(without_escapes, printed)):
                    lines.append(line)
                    if line.startswith(_ONE_MORE):
                        collected += 1
                        task.update(done=collected, detail=line.split()[1])
                    elif line.startswith("Installing "):
                        task.update(done=total or collected, detail="installing")
                status = process.wait()
            finally:
                done.set()
                watching.join()
    # It may have been quicker than the last look.
    return PipRun(status, tuple(lines), collected, stopped or watch(collected))


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
    arguments = ["--python", str(interpreter)] if interpreter else []
    arguments += ["install", *_WHEELS_ONLY, "--no-deps", "--require-hashes", "-r", str(lock)]
    arguments += ["--target", str(target), "--no-compile"] if target else []
    pins = sum(bool(_PIN.match(line)) for line in lock.read_text().splitlines())
    run = run_pip(arguments, title, progress, total=pins)
    if run.status != 0:
        raise InfraFault(
            f"{title}: pip failed (exit {run.status}):\n    " + "\n    ".join(run.lines[-_TAIL_LINES:]),
            fix="check that this machine reaches a Python package index (pip's own settings are used), "
            "then run `kubeproof setup` again",
        )


def wheels_for(python: str, machine: str, *, glibc: int) -> tuple[str, ...]:
    """Arguments for pip to take wheels for another Python than its own: CPython, on Linux.

    `python` is a version such as 3.11, `machine` as `uname -m` says, `glibc` the C library's minor version.
    """
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, _OLDEST_GLIBC - 1, -1)]
    wanted = ["--implementation", "cp", "--python-version", python]
    return (*wanted, *(word for platform in platforms for word in ("--platform", platform)))


def wheels_into(
    target: Path, requirements: Path, constraints: Path, notes: Path, *, machine: Sequence[str] = ()
) -> tuple[str, ...]:
    """Arguments for `run_pip` to resolve `requirements` within `constraints`, and unpack all into `target`.

    Nothing of what is unpacked is run, not even compiled. In the folder `notes` pip leaves `log`, all that it
    did, and, if it found a set of packages, `report.json`, which they are. `machine` is of `wheels_for`.
    """
    return (
        "install", *_WHEELS_ONLY, "--no-compile", "--no-warn-conflicts", "--target", str(target), *machine,
        "-r", str(requirements), "-c", str(constraints),
        "--log", str(notes / "log"), "--report", str(notes / "report.json"),
    )  # fmt: skip
