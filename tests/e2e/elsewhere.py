"""A workforce of processes that have nothing in common but a place for objects, as pods have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from graders.batch.distributed import DistributedExecutor, EndedIndex
from graders.batch.executor import Batch
from graders.batch.objects import ObjectPlace
from graders.batch.plan import BatchPlan
from graders.batch.run import BatchRow, run_batch
from graders.progress import Progress, Silent
from graders.store import GradeStore, open_store
from tests.e2e.classes import COURSE, enrolled, gradebook, python_path

EXITS = "worker exits"
TRIES = 3


@dataclass
class Processes:
    """Two workers at a time, with logs in `logs`; what exits with 3 or is killed gets two more tries."""

    place: ObjectPlace
    logs: Path
    befall: Callable[[int, subprocess.Popen[bytes]], None] = lambda index, process: None
    ended: Callable[[int], None] = lambda index: None
    began: list[int] = field(default_factory=list)
    title: str = "elsewhere"

    def at_work(self) -> Sequence[str]:
        return ()

    def work(self, plan: BatchPlan, batch: Batch, progress: Progress) -> Iterator[EndedIndex]:
        waiting, tries = list(range(len(plan.works))), dict.fromkeys(range(len(plan.works)), TRIES)
        while waiting:
            some = [(index, self.start(plan, index)) for index in waiting[:2]]
            for index, process in some:
                self.befall(index, process)
            for index, exit_code in [(index, process.wait(120)) for index, process in some]:
                waiting.remove(index)
                tries[index] -= 1
                if exit_code in (3, -signal.SIGKILL) and tries[index]:
                    waiting.append(index)
                else:
                    self.ended(index)
                    yield EndedIndex(index, f"{EXITS} {exit_code}: {self.log(index)}" if exit_code else "")

    def start(self, plan: BatchPlan, index: int) -> subprocess.Popen[bytes]:
        self.began.append(index)
        self.logs.mkdir(exist_ok=True)
        with (self.logs / f"{index}.log").open("ab") as told:
            return worker(self.place.url, plan.name, index, told.fileno())

    def log(self, index: int) -> str:
        """The end of what the workers of an index said."""
        return (self.logs / f"{index}.log").read_text()[-600:]


def worker(url: str, plan: str, index: int, told: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """A worker of that index, at work; `told` is where it says so."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "graders", "--course", COURSE),
            *("batch-worker", "--objects", url, "--plan", plan),
        ],
        env={**os.environ, "PYTHONPATH": python_path(), "JOB_COMPLETION_INDEX": str(index)},
        stdout=subprocess.DEVNULL, stderr=told,
    )  # fmt: skip


def graded(batch: Batch, store: GradeStore, workers: Processes, progress: Progress) -> list[BatchRow]:
    """What comes of a batch by those workers."""
    return run_batch(batch, enrolled(store, batch), progress, DistributedExecutor(workers.place, workers))


def local_gradebook(batch: Batch, folder: Path) -> dict[str, tuple[str, str | None]]:
    """The same class graded on this machine."""
    with open_store(folder / "local.db") as store:
        run_batch(replace(batch, results=folder / "local"), enrolled(store, batch), Silent())
        return gradebook(store)
