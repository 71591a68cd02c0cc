"""The batch: what the store has is left alone, the rest is graded side by side and kept as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from graders.batch.grading import MOST_S, Grader, Work, work_of
from graders.batch.intake import HandIn
from graders.course import Lab
from graders.gradingprocess import grading_processes
from graders.model import Verdict
from graders.progress import Progress, Task
from graders.store import GradeStore, StoredGrade


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What to grade, and how: `jobs` gradings side by side, whose results go below `results`.

    What is UNGRADED in the store stays so unless `retry_ungraded`. No grading takes longer than `most_s`.
    """

    lab: Lab
    hand_ins: Sequence[HandIn]
    results: Path
    provider: str
    jobs: int
    retry_ungraded: bool = False
    most_s: float = MOST_S


class How(StrEnum):
    """How a batch came to a row."""

    GRADED = "graded now"
    KEPT = "was in the store"
    STALE = "was in the store, judged by other checks or another rubric"
    ABSENT = "could not be had"


@dataclass(frozen=True)
class BatchRow:
    """What a batch has of one hand-in; `grade` is None where it could not be had, and `problem` says why."""

    learner_id: str
    how: How
    grade: StoredGrade | None
    problem: str = ""

    @property
    def open(self) -> bool:
        """Whether something is still to be done about it."""
        return self.grade is None or self.grade.verdict is Verdict.UNGRADED


def run_batch(batch: Batch, store: GradeStore, progress: Progress) -> list[BatchRow]:
    """Have a grade in the store for each hand-in; gives a row for each, in their order.

    Each grade is kept when it is there: whenever this is killed, the same call goes on. The store has to know
    the learners.

    Raises:
        UsageError: a hand-in cannot be read. InfraFault: the store cannot be had, or what gradings share.
    """
    rows: dict[str, BatchRow] = {}
    to_do: list[Work] = []
    with progress.task(
        f"{batch.lab.id}: looking at {len(batch.hand_ins)} hand-ins", len(batch.hand_ins)
    ) as task:
        for number, hand_in in enumerate(batch.hand_ins, 1):
            found = _known(batch, store, hand_in)
            if isinstance(found, BatchRow):
                rows[hand_in.learner_id] = found
            else:
                to_do.append(found)
            task.update(done=number, detail=hand_in.learner_id)
    if to_do:
        with grading_processes(batch.provider, progress) as processes:
            grader = Grader(batch.lab, batch.results, batch.provider, processes, progress, batch.most_s)
            grader.forget_unfinished()
            for stored in _all(batch, grader, store, to_do, progress):
                rows[stored.learner_id] = BatchRow(stored.learner_id, How.GRADED, stored, stored.problem)
    return [rows[hand_in.learner_id] for hand_in in batch.hand_ins]


def _known(batch: Batch, store: GradeStore, hand_in: HandIn) -> BatchRow | Work:
    """The row of a hand-in that need not be graded, or what there is to do."""
    if hand_in.problem and not hand_in.rejected:
        return BatchRow(hand_in.learner_id, How.ABSENT, None, hand_in.problem)
    work = work_of(batch.lab, hand_in, batch.provider)
    found = store.by_record(hand_in.learner_id, batch.lab.id, work.key.record)
    if found is None or (found.verdict is Verdict.UNGRADED and batch.retry_ungraded):
        return work
    how = How.KEPT if found.key == work.key else How.STALE
    return BatchRow(hand_in.learner_id, how, found, found.problem)


def _all(
    batch: Batch, grader: Grader, store: GradeStore, to_do: Sequence[Work], progress: Progress
) -> Iterator[StoredGrade]:
    """The grades as they come, each kept before it is given."""

    def one(work: Work) -> StoredGrade:
        found = None if batch.retry_ungraded else grader.left_behind(work)
        return store.save(found or grader.grade(work))

    title = f"{batch.lab.id}: grading {len(to_do)}, {batch.jobs} at once, {batch.provider}"
    with progress.task(title, len(to_do)) as task, ThreadPoolExecutor(batch.jobs) as pool:
        running = [pool.submit(one, work) for work in to_do]
        try:
            yield from _as_they_come(running, task)
        except BaseException:
            # Where the store is gone nothing more begins; what runs comes to its end, and waits to be kept.
            for each in running:
                each.cancel()
            raise


def _as_they_come(running: Sequence[Future[StoredGrade]], task: Task) -> Iterator[StoredGrade]:
    began, ungraded = time.monotonic(), 0
    for done, each in enumerate(as_completed(running), 1):
        stored = each.result()
        ungraded += stored.verdict is Verdict.UNGRADED
        left_s = (time.monotonic() - began) / done * (len(running) - done)
        told = f"{ungraded} not graded, " if ungraded else ""
        task.update(done=done, detail=f"{told}about {_minutes(left_s)} left")
        yield stored


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
