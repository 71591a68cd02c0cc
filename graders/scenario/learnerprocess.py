"""A long-running program of a learner's, in a sandbox: kept running as a kubelet would, killed or paused."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.evidence.records import ProcessEvent, Scrape
from graders.faultproxy import FaultProxy
from graders.sandbox.protocol import ExitStatus, Sandbox, SandboxSpec, View
from graders.sandbox.scraping import read_metrics
from graders.sandbox.starvation import Scheduled, scheduled
from graders.sandbox.supervision import SandboxedProcess

API = "api"
"""The door of its sandbox behind which the proxy serves the API."""

RESTART_DELAYS_S = (1.0, 2.0, 4.0, 8.0)
"""A process that exits is started again after these; the last one repeats."""

STABLE_AFTER_S = 20.0
"""A process that ran this long earns a fresh series of delays."""

_MOST_LAST_WORDS = 400


@dataclass(frozen=True)
class Launch:
    """How to start one operator process; `sandbox_spec` gets the instance's name, such as `operator-2`."""

    sandbox: Sandbox
    sandbox_spec: Callable[[str, Path], SandboxSpec]
    folder: Path
    logs: Path
    proxy: FaultProxy
    metrics_port: int
    metrics_path: str


class LearnerProcess:
    """One replica of an operator deployment; a context manager that ends it.

    `name` says which: its processes are the instances `operator-1`, `operator-2` …
    """

    def __init__(self, launch: Launch, recording: Recording, name: str = "operator") -> None:
        self.name = name
        self._launch = launch
        self._recording = recording
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._killed = threading.Event()
        self._replaced = threading.Condition()
        self._count = 0
        self._process: SandboxedProcess | None = None
        self._error: Exception | None = None
        self._ends: list[tuple[float, str, str]] = []
        self._while_down: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._supervise, name=name, daemon=True)

    def __enter__(self) -> LearnerProcess:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.stop(grace_s=1.0)
        self._thread.join(30.0)

    def another(self, name: str) -> LearnerProcess:
        """One more replica of the same deployment, not yet started."""
        return LearnerProcess(self._launch, self._recording, name)

    @property
    def instance(self) -> str:
        """The name of the present process."""
        return f"{self.name}-{self._count}"

    @property
    def fault(self) -> Exception | None:
        """What kept the supervisor from starting a process; the harness's trouble, not the learner's."""
        return self._error

    def kill(self, prepare: Callable[[], None] = lambda: None) -> None:
        """SIGKILL the operator's processes, call `prepare` while it is down, start it anew.

        Returns once the new process is started (not: ready).
        """
        before = self._count
        self._kill(prepare)
        with self._replaced:
            self._replaced.wait_for(lambda: self._count > before or self._error is not None, timeout=30.0)

    def kill_for_good(self) -> None:
        """SIGKILL the operator's processes and start no other."""
        self._kill(self._wait_for_the_end)

    def pause(self) -> None:
        """SIGSTOP all its processes; they neither see nor do anything until `resume`."""
        self._signal(signal.SIGSTOP)
        self._record("paused", signal="SIGSTOP")

    def resume(self) -> None:
        """SIGCONT all its processes."""
        self._signal(signal.SIGCONT)
        self._record("resumed", signal="SIGCONT")

    def log_tail(self, lines: int = 20) -> str:
        """The last lines the present (or last) process printed."""
        with self._lock:
            return self._process.log_tail(lines) if self._process is not None else ""

    def scheduled(self) -> Scheduled:
        """How long the present process ran, and how long it waited for a processor."""
        with self._lock:
            process = self._process
        return scheduled(process.pid) if process is not None else Scheduled()

    def ends_since(self, t: float) -> str:
        """How often the operator ended by itself since time `t`, and how last; empty when it did not."""
        ends = [end for end in list(self._ends) if end[0] >= t]
        if not ends:
            return ""
        times = "once" if len(ends) == 1 else f"{len(ends)} times"
        _, how, words = ends[-1]
        said = f"; it printed last: {words[-_MOST_LAST_WORDS:]}" if words else "; it printed nothing"
        return f"the operator's process ended {times}, last it {how}{said}"

    def scrape(self) -> Scrape:
        """Read the metrics port of the present process, and put the reading on record."""
        with self._lock:
            process = self._process
        instance = self.instance
        try:
            if process is None or process.exit is not None:
                raise ConnectionRefusedError("the operator is not running")
            text = read_metrics(process, self._launch.metrics_port, self._launch.metrics_path)
            scrape = Scrape(self._recording.clock.now(), instance, True, text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            scrape = Scrape(self._recording.clock.now(), instance, False, error=str(error) or repr(error))
        self._recording.writer.add(scrape)
        return scrape

    def _kill(self, prepare: Callable[[], None]) -> None:
        self._while_down = prepare
        with self._lock:
            process = self._process
        self._record("killed", signal="SIGKILL")
        self._killed.set()
        if process is not None:
            process.stop(grace_s=0.0)

    def _wait_for_the_end(self) -> None:
        self._stopping.wait()

    def _signal(self, number: int) -> None:
        with self._lock:
            process = self._process
        if process is not None:
            process.signal(number)

    def _supervise(self) -> None:
        delays = list(RESTART_DELAYS_S)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                status = self._run_once()
            except Exception as error:  # the scenario asks for `fault` and raises it in its own thread
                self._error = error
                with self._replaced:
                    self._replaced.notify_all()
                return
            if self._stopping.is_set():
                self._record("stopped", status=str(status))
                return
            if not self._killed.is_set():
                self._ends.append((self._recording.clock.now(), str(status), self.log_tail(6).strip()))
                self._record(
                    "exited",
                    status=str(status),
                    reason=status.reason.value,
                    code=status.code,
                    signal=status.signal,
                )
                if time.monotonic() - began > STABLE_AFTER_S:
                    delays = list(RESTART_DELAYS_S)
                self._stopping.wait(delays[0])
                delays = delays[1:] or delays
            # Also one that ended by itself just before may be killed, while it waits to be started again.
            if self._killed.is_set():
                self._killed.clear()
                with contextlib.suppress(Exception):
                    self._while_down()

    def _run_once(self) -> ExitStatus:
        number = self._count + 1
        instance = f"{self.name}-{number}"
        folder = self._launch.folder / instance
        folder.mkdir(parents=True)
        spec = self._launch.sandbox_spec(instance, folder)
        with self._launch.sandbox.start(spec) as process, contextlib.ExitStack() as serving:
            serving.enter_context(self._launch.proxy.serve(process.doors[API], instance))
            with self._lock:
                self._process = process
            with self._replaced:
                self._count = number
                self._replaced.notify_all()
            self._record("started", pid=process.pid)
            status = None
            while status is None:
                status = process.stop(grace_s=1.0) if self._stopping.is_set() else process.wait(0.5)
            usage = process.usage
            self._record(
                "usage", cpu_s=usage.cpu_s, peak_rss_bytes=usage.peak_rss_bytes, peak_pids=usage.peak_pids
            )
        with contextlib.suppress(OSError):
            log = self._launch.logs / f"{instance}.log"
            log.write_text(printed_text(process.log_path.read_bytes()), encoding="utf-8")
        return status

    def _record(self, event: str, **data: Any) -> None:
        now = self._recording.clock.now()
        self._recording.writer.add(ProcessEvent(now, self.instance, event, data))
        self._recording.changes.notify()


def environment(view: View, instance: str, namespace: str, own: Mapping[str, str]) -> dict[str, str]:
    """The variables every operator process gets, over the learner's own."""
    return {
        **own,
        "KUBECONFIG": f"{view.files}/kubeconfig",
        "POD_NAME": instance,
        "POD_NAMESPACE": namespace,
    }
