"""One long-lived program: its life, its log and the lines it prints."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.polling import await_ready
from graders.process import kill_group, spawn

_TAIL_BYTES, _LINE_BYTES = 1 << 16, 1 << 9
_DEAD_WITHIN_S = 15.0
_PUMPED_WITHIN_S = 5.0
_PATH = "/usr/bin:/bin"


class ServiceDied(InfraFault):
    """A service ended while somebody needed it."""


@dataclass(frozen=True)
class ServiceSpec:
    """What a service is: `folder` is where it runs, and its home; `environment` adds to HOME and PATH.

    Its output goes to `log`; with `on_line`, standard output goes there instead, line by line (bytes, no
    newline), from a thread. `ready` raises `NotYet` until the service can be used.
    """

    name: str
    command: Sequence[str | Path]
    folder: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    on_line: Callable[[bytes], None] | None = None
    ready: Callable[[], object] | None = None


class Service:
    """A program that runs until its block ends; any thread may start, kill and look at it meanwhile."""

    def __init__(self, spec: ServiceSpec, owner: OwnedFolder) -> None:
        """Start nothing yet; `owner` remembers each process, so that a sweep finds it."""
        self.spec = spec
        self._owner = owner
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None
        self._finished = True
        self._over = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.spec.name

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int | None:
        """The pid of the process that runs, or ran last; None before the first start."""
        return self._process.pid if self._process is not None else None

    def start(self, command: Sequence[str | Path] | None = None) -> None:
        """Start it unless it runs, by another `command` this once; its log goes on where it ended.

        Raises:
            InfraFault: its block has ended. OSError: as `spawn`.
        """
        with self._lock:
            if self._over:
                raise InfraFault(f"{self.name} belongs to something that has ended, and starts no more")
            if self.alive:
                return
            self._finish()
            with self.spec.log.open("ab") as log:
                self._process = spawn(
                    command or self.spec.command,
                    environment={"HOME": str(self.spec.folder), "PATH": _PATH, **self.spec.environment},
                    folder=self.spec.folder,
                    stdout=log if self.spec.on_line is None else subprocess.PIPE,
                    stderr=log,
                )
            self._finished = False
            self._owner.record(self._process.pid)
            if self.spec.on_line is not None and self._process.stdout is not None:
                self._pump = threading.Thread(
                    target=_hand_on,
                    args=(self._process.stdout, self.spec.on_line),
                    name=f"{self.name} lines",
                    daemon=True,
                )
                self._pump.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until it is ready; one without a probe is as soon as it runs.

        Raises:
            ServiceDied: it ended first. InfraFault: `timeout_s` passed, with the last mismatch.
        """

        def probe() -> None:
            self.check_alive()
            if self.spec.ready is not None:
                self.spec.ready()

        await_ready(self.name, probe, timeout_s, log_tail=self.log_tail)

    def check_alive(self) -> None:
        """See that it runs.

        Raises:
            ServiceDied: it does not; has its exit code and the end of its log.
        """
        if not self.alive:
            process = self._process
            how = "was not started" if process is None else f"ended with code {process.returncode}"
            raise ServiceDied(
                f"{self.name} {how}:\n{self.log_tail()}",
                fix="`kubeproof doctor` looks at the machine; `kubeproof setup` at the binaries",
            )

    def kill(self) -> None:
        """SIGKILL it with all its group; it is dead, and its last line handed on, when this returns.

        Raises:
            InfraFault: it does not end.
        """
        with self._lock:
            self._finish()

    def stop(self, grace_s: float) -> None:
        """SIGTERM it, and `grace_s` later kill what is left of its group; raises as `kill`."""
        with self._lock:
            if self._process is not None and self.alive:
                self._process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace_s)
            self._finish()

    def restart(self) -> None:
        """Kill it and start it again; raises as both do."""
        with self._lock:
            self.kill()
            self.start()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return log_tail(self.spec.log, lines)

    def close(self) -> None:
        """Kill it for good; raises as `kill`."""
        with self._lock:
            self._over = True
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finish(self) -> None:
        """Leave nothing of the last process: the children of one that ended by itself may live."""
        if self._process is None or self._finished:
            return
        kill_group(self._process, timeout_s=_DEAD_WITHIN_S)
        if self._process.poll() is None:
            raise InfraFault(
                f"{self.name} (pid {self._process.pid}) does not end on SIGKILL",
                fix="look for a hung disk or file system, then restart this machine",
            )
        # Only once: by and by its number may be that of another group.
        self._finished = True
        # Whoever takes the lines may have asked for this.
        if self._pump is not None and self._pump is not threading.current_thread():
            self._pump.join(_PUMPED_WITHIN_S)
            self._pump = None


def log_tail(path: Path, lines: int = 15) -> str:
    """The last `lines` of a log, or a word that there is none; no more is read than lines take as a rule."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - max(_TAIL_BYTES, lines * _LINE_BYTES)))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def _hand_on(stream: IO[bytes], on_line: Callable[[bytes], None]) -> None:
    """Hand each whole line on: what a killed program had begun to print is none."""
    with stream:
        for line in stream:
            if line.endswith(b"\n"):
                on_line(line[:-1])
