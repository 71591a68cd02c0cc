"""Waits for one thing after the other while a cluster starts, and tells what for."""

from collections.abc import Callable

from graders.clusters.kind.readiness import answering
from graders.polling import NotYet, await_ready
from graders.progress import Task

READY_WITHIN_S = 240.0
"""Generous: nodes and name service are there within half a minute even on two busy processors."""


class Waiting:
    """Waits for `task`, of which `done` steps are done."""

    def __init__(self, task: Task, done: int) -> None:
        self._task, self._done = task, done

    def step(self) -> None:
        """One step more is done."""
        self._done += 1

    def until(self, what: str, probe: Callable[[], None]) -> None:
        """Wait for a probe.

        Raises:
            InfraFault: it did not hold in time.
        """
        told = ""

        def tried() -> None:
            nonlocal told
            try:
                answering(probe)
            except NotYet as mismatch:
                if (detail := f"waiting for {what}: {mismatch}") != told:
                    self._task.update(done=self._done, detail=detail)
                    told = detail
                raise

        await_ready(f"the cluster, which lacks {what},", tried, READY_WITHIN_S, interval_s=0.05)
