"""Bundles judged again side by side, each in a process that may die without taking another's result."""

import gc
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

from graders.course import Lab, load_course
from graders.gradekey import GradeKey
from graders.rescoring.again import judge_again, refused
from graders.store import NewGrade, StoredGrade

MOST_S = 600.0
"""Judging one bundle takes half a second; one that takes so long hangs."""


@dataclass(frozen=True)
class Job:
    """A grade to be judged again, its report as it was stored, and the key that it then has.

    Judging it is not done in `most_s` seconds only if it hangs.
    """

    grade: StoredGrade
    report: dict[str, Any]
    key: GradeKey
    most_s: float = MOST_S


def judge_side_by_side(jobs: Sequence[Job], at_once: int) -> Iterator[NewGrade]:
    """The grades as they come, in any order, of `at_once` processes; what kills its own is UNGRADED."""
    left: list[Job] = []
    with _pool(min(at_once, max(1, len(jobs)))) as pool:
        running: dict[Future[NewGrade], Job] = {}
        for job in jobs:
            try:
                running[pool.submit(judge_one, job)] = job
            except BrokenProcessPool:
                left.append(job)
        for future in as_completed(running):
            try:
                yield future.result()
            except BrokenProcessPool:
                left.append(running[future])
    if left:
        # One of them ended the processes of all: each gets one of its own.
        with ThreadPoolExecutor(at_once) as threads:
            yield from threads.map(_alone, left)


def judge_one(job: Job) -> NewGrade:
    """Judge one bundle, in a process of the pool."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, job.most_s)
    try:
        return judge_again(_lab(job.grade.lab), job.grade, job.report, job.key)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.collect()


def _alone(job: Job) -> NewGrade:
    try:
        with _pool(1) as pool:
            return pool.submit(judge_one, job).result()
    except BrokenProcessPool:
        problem = (
            f"grader: judging it ended the process that judged it, or was not done within {job.most_s:g} s"
        )
        return refused(job.grade, job.report, job.key, problem)


def _pool(size: int) -> ProcessPoolExecutor:
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(size, mp_context=context, initializer=gc.disable)


@cache
def _lab(slug: str) -> Lab:
    lab = load_course().find_lab(slug)
    # What is loaded by now stays: no collection has to look at it again.
    gc.collect()
    gc.freeze()
    return lab
