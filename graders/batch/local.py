"""Grades on this machine, in processes side by side."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from graders.batch.executor import Batch, ExecutorOptions, Keep
from graders.batch.grading import Grader
from graders.batch.work import Work
from graders.faults import UsageError
from graders.gradingprocess import grading_processes
from graders.progress import Progress
from graders.store import StoredGrade


class LocalExecutor:
    """This machine."""

    @property
    def title(self) -> str:
        """Where."""
        return "on this machine"

    def grades(
        self, batch: Batch, to_do: Sequence[Work], keep: Keep, progress: Progress
    ) -> Iterator[StoredGrade]:
        """As `Executor.grades` says."""
        results = batch.places
        results.forget_unfinished()
        with grading_processes(batch.provider, progress) as processes, ThreadPoolExecutor(batch.jobs) as pool:
            grader = Grader(batch.lab.id, batch.provider, processes, progress, batch.most_s)

            def one(work: Work) -> StoredGrade:
                found = None if batch.retry_ungraded else results.left_behind(work)
                return keep(found or grader.grade(work, results))

            running = [pool.submit(one, work) for work in to_do]
            try:
                for each in as_completed(running):
                    yield each.result()
            except BaseException:
                # The store is gone: nothing more begins; what runs comes to its end, and waits to be kept.
                for each in running:
                    each.cancel()
                raise


@contextmanager
def executor(options: ExecutorOptions) -> Iterator[LocalExecutor]:
    """This machine, of which nothing can be said.

    Raises:
        UsageError: an option is for another executor.
    """
    for name in options.given():
        raise UsageError(
            f"--{name} is for --executor kubernetes, and this is local",
            fix=f"add --executor kubernetes, or leave --{name} out",
        )
    yield LocalExecutor()
