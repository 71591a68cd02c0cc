"""Grades on other machines: hand-ins go up to a place for objects, a workforce works, results come back.

Nothing is paid twice: what is in the place is collected first, a workforce that an earlier call left at work
is waited for, and only then are workers asked for the rest.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graders.batch.collecting import Collector
from graders.batch.executor import Batch, Keep
from graders.batch.objects import ObjectPlace
from graders.batch.packing import pack, sha256_of
from graders.batch.plan import (
    BatchPlan,
    IndexWork,
    Keys,
    assignment_object,
    plan_object,
    plan_of,
    read_document,
    submission_object,
    work_id,
)
from graders.batch.work import Work
from graders.faults import UsageError
from graders.model import Verdict
from graders.once import remove_tree
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.store import NewGrade, StoredGrade
from graders.submissions.load import snapshot

ROUNDS = 2
"""So often a work is given out whose worker ended and whose result is not whole."""

_NOT_WHOLE = "its workers ended, and left no result that is whole"
_UPLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class EndedIndex:
    """An index whose worker needs no other; `problem` says why there may be no result."""

    index: int
    problem: str = ""


class Workforce(Protocol):
    """Has workers do the work of plans."""

    @property
    def title(self) -> str:
        """Where it is, as progress tells it."""

    def at_work(self) -> Sequence[str]:
        """The names of plans that it works on, or worked on, since an earlier call."""

    def work(self, plan: BatchPlan, batch: Batch, progress: Progress) -> Iterator[EndedIndex]:
        """Have all indexes of a plan done; goes on with one that is at work. Each index is given once.

        Raises:
            InfraFault: no worker can work; says why. What was done stays in the place.
        """


@dataclass(frozen=True)
class DistributedExecutor:
    """A workforce, and the place by which it is told what to do."""

    place: ObjectPlace
    workforce: Workforce

    @property
    def title(self) -> str:
        """The workforce's."""
        return self.workforce.title

    def grades(
        self, batch: Batch, to_do: Sequence[Work], keep: Keep, progress: Progress
    ) -> Iterator[StoredGrade]:
        """As `Executor.grades` says."""
        yield from map(keep, self._new_grades(batch, to_do, progress))

    def _new_grades(self, batch: Batch, to_do: Sequence[Work], progress: Progress) -> Iterator[NewGrade]:
        results = batch.places
        results.forget_unfinished()
        yield from (results.told(work, Verdict.REJECTED, work.refusal) for work in to_do if work.refusal)
        works = {work_id(work): work for work in to_do if not work.refusal}
        if not works:
            return
        self.place.claim()
        collector = Collector(self.place, results, works, progress)
        yield from collector.ready(also_open=not batch.retry_ungraded)
        for name in self.workforce.at_work():
            earlier = read_document(self.place, plan_object(name), BatchPlan)
            if earlier is not None and not set(collector.left).isdisjoint(earlier.works):
                yield from self._round(earlier, batch, collector, progress)
        for _ in range(ROUNDS):
            if collector.left:
                collector.set_aside_open()
                yield from self._round(self._put_up(batch, collector, progress), batch, collector, progress)
        for work in collector.left:
            yield from collector.ungraded(work, _NOT_WHOLE)

    def _round(
        self, plan: BatchPlan, batch: Batch, collector: Collector, progress: Progress
    ) -> Iterator[NewGrade]:
        for ended in self.workforce.work(plan, batch, progress):
            work = plan.works[ended.index]
            yield from collector.one(work)
            if ended.problem:
                # Said also where a result came of it: that has no word of what befell its pod.
                progress.say(f"{collector.whose(work)}: {ended.problem}")
                yield from collector.ungraded(work, ended.problem)

    def _put_up(self, batch: Batch, collector: Collector, progress: Progress) -> BatchPlan:
        """Put what is left into the place: hand-ins, assignments, and last the plan."""
        plan = plan_of(batch.lab.id, collector.left)
        works = [collector.works[one] for one in plan.works]
        with (
            progress.task(f"sending {len(works)} hand-ins to {self.place.url}", len(works)) as task,
            OwnedFolder("sent", batch.lab.id) as owned,
            ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool,
        ):
            digests: Mapping[str, Path] = {work.digest: work.hand_in.path for work in works}
            sent = pool.map(lambda one: self._sent(one[0], one[1], owned.path), digests.items())
            packed = dict(zip(digests, _counted(sent, task.update), strict=True))
            assignments = (
                IndexWork(
                    work=plan.works[index],
                    lab=batch.lab.id,
                    provider=batch.provider,
                    learner_id=work.hand_in.learner_id,
                    submission=work.digest,
                    packed=packed[work.digest],
                    key=Keys.of(work.key),
                    most_s=batch.most_s,
                )
                for index, work in enumerate(works)
            )
            named = [(assignment_object(plan.name, index), one) for index, one in enumerate(assignments)]
            list(pool.map(lambda one: self.place.put(one[0], one[1].content()), named))
        self.place.put(plan_object(plan.name), plan.content())
        return plan

    def _sent(self, digest: str, handed_in: Path, scratch: Path) -> str:
        """Have a hand-in in the place; gives the digest of its bytes there."""
        name = submission_object(digest)
        folder, file = scratch / digest.rpartition(":")[2], scratch / Path(name).name
        if snapshot(handed_in, folder) != digest:
            raise UsageError(
                "the hand-in was changed while it was read", file=handed_in, fix="run the same command again"
            )
        pack(folder, file)
        remove_tree(folder)
        self.place.put(name, file)
        packed = sha256_of(file)
        file.unlink()
        return packed


def _counted(sent: Iterable[str], update: Callable[..., None]) -> Iterator[str]:
    for done, each in enumerate(sent, 1):
        update(done=done)
        yield each
