"""Gradings in processes of their own: they share what can be shared, and a signal ends them first."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from graders.clusters.registry import provider_named
from graders.interrupt import done_before_the_end
from graders.process import spawn
from graders.progress import Progress

_CLEANS_UP_WITHIN_S = 30.0


class GradingProcesses:
    """Runs `kubeproof grade`; safe to use from many threads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ending = False

    def check(self) -> None:
        """Raise InterruptedError when gradings are being ended and none may begin."""
        if self._ending:
            raise InterruptedError("gradings are being ended")

    def run(self, arguments: Sequence[str], log: Path) -> None:
        """Grade, and wait for the end; `log` takes what is printed.

        Raises:
            InterruptedError: gradings are being ended.
        """
        with log.open("wb") as printed:
            with self._lock:
                self.check()
                process = spawn(
                    [sys.executable, "-m", "graders", "grade", *arguments],
                    environment=self._environment,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                )
                self._running.add(process)
            process.wait()
        self._running.discard(process)

    def end(self) -> None:
        """End those that run, each by a signal that lets it remove what it started."""
        with self._lock:
            self._ending = True
        running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLEANS_UP_WITHIN_S)


@contextlib.contextmanager
def grading_processes(provider: str, progress: Progress) -> Iterator[GradingProcesses]:
    """Have what gradings on `provider` share for as long as the block runs.

    Raises:
        InfraFault: it cannot be had. UsageError: there is no such provider.
    """
    with provider_named(provider).shared(progress) as environment:
        processes = GradingProcesses(environment)
        with done_before_the_end(processes.end):
            yield processes
