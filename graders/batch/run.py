"""The batch: what the store has is left alone, the rest is graded somewhere and kept as it comes."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from graders.batch.executor import Batch, Executor
from graders.batch.intake import HandIn
from graders.batch.local import LocalExecutor
from graders.batch.work import Work, work_of
from graders.model import Verdict
from graders.progress import Progress, Task
from graders.store import GradeStore, StoredGrade


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


def run_batch(
    batch: Batch, store: GradeStore, progress: Progress, executor: Executor | None = None
) -> list[BatchRow]:
    """Have a grade in the store for each hand-in; gives a row for each, in their order.

    Each grade is kept when it is there: whenever this is killed, the same call goes on. The store has to know
    the learners. Without `executor` this machine grades.

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
        chosen = executor or LocalExecutor()
        title = f"{batch.lab.id}: grading {len(to_do)}, {batch.jobs} at once, {batch.provider} {chosen.title}"
        with progress.task(title, len(to_do)) as task:
            grades = chosen.grades(batch, to_do, store.save, progress)
            for stored in _as_they_come(grades, len(to_do), task):
                rows[stored.learner_id] = BatchRow(stored.learner_id, How.GRADED, stored, stored.problem)
    return [rows[hand_in.learner_id] for hand_in in batch.hand_ins]


def _known(batch: Batch, store: GradeStore, hand_in: HandIn) -> BatchRow | Work:
    """The row of a hand-in that need not be graded, or what there is to do."""
    if hand_in.problem and not hand_in.rejected:
        return BatchRow(hand_in.learner_id, How.ABSENT, None, hand_in.problem)
    work = work_of(batch.lab, hand_in, batch.provider)
    found = store.by_record(hand_in.learner_id, batch.lab.id, work.key.record)
    if found is None:
        return work
    found = store.handed_in(found, hand_in.submitted_at)
    if found.verdict is Verdict.UNGRADED and batch.retry_ungraded:
        # As the attempt that it is, whatever time its files have by now.
        return replace(work, hand_in=replace(hand_in, submitted_at=found.submitted_at))
    how = How.KEPT if found.key == work.key else How.STALE
    return BatchRow(hand_in.learner_id, how, found, found.problem)


def _as_they_come(grades: Iterable[StoredGrade], expected: int, task: Task) -> Iterator[StoredGrade]:
    began, ungraded = time.monotonic(), 0
    for done, stored in enumerate(grades, 1):
        ungraded += stored.verdict is Verdict.UNGRADED
        left_s = (time.monotonic() - began) / done * (expected - done)
        told = f"{ungraded} not graded, " if ungraded else ""
        task.update(done=done, detail=f"{told}about {_minutes(left_s)} left")
        yield stored


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
