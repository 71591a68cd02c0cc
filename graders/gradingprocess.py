"""Gradings in processes of their own: they share what can be shared, and a signal ends them first."""

import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from graders.clusters.registry import provider_named
from graders.interrupt import done_before_the_end
from graders.process import kill_group, spawn
from graders.progress import Progress

TELLS_EVERY_S = 0.5
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

    def run(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        most_s: float = math.inf,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Grade, and wait for the end; `log` takes what is printed, `meanwhile` is called now and then.

        Raises:
            InterruptedError: gradings are being ended. TimeoutError: it took longer than `most_s`, and was
                ended.
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
            since = time.monotonic()
            try:
                while not _ended(process, TELLS_EVERY_S):
                    meanwhile()
                    if time.monotonic() - since > most_s:
                        _end(process)
                        raise TimeoutError(f"the grading did not end within {most_s:.0f} s")
            finally:
                self._running.discard(process)

    def end(self) -> None:
        """End those that run, each by a signal that lets it remove what it started."""
        with self._lock:
            self._ending = True
        running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            _ended(process, _CLEANS_UP_WITHIN_S)


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if not _ended(process, _CLEANS_UP_WITHIN_S):
        kill_group(process)


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
