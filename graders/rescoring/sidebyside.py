"""Bundles judged again side by side, each in a process that may die without taking another's result."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Sequence
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

ONE_TAKES_AT_MOST_S = 600
"""Seconds after which judging one bundle counts as hanging."""


@dataclass(frozen=True)
class Job:
    """A grade to be judged again, its report as it was stored, and the key that it then has."""

    grade: StoredGrade
    report: dict[str, Any]
    key: GradeKey


def judge_side_by_side(
    jobs: Sequence[Job], at_once: int, judge: Callable[[Job], NewGrade] | None = None
) -> Iterator[NewGrade]:
    """The grades as they come, in any order; what kills its process, twice, is UNGRADED.

    Args:
        jobs: what to judge.
        at_once: how many processes.
        judge: what is done in a process; importable there.
    """
    judge = judge or judge_one
    left: list[Job] = []
    with _pool(min(at_once, max(1, len(jobs)))) as pool:
        running: dict[Future[NewGrade], Job] = {}
        for job in jobs:
            try:
                running[pool.submit(judge, job)] = job
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
            yield from threads.map(lambda job: _alone(judge, job), left)


def judge_one(job: Job) -> NewGrade:
    """Judge one bundle, in a process of the pool."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(ONE_TAKES_AT_MOST_S)
    try:
        return judge_again(_lab(job.grade.lab), job.grade, job.report, job.key)
    finally:
        signal.alarm(0)
        gc.collect()


def _alone(judge: Callable[[Job], NewGrade], job: Job) -> NewGrade:
    try:
        with _pool(1) as pool:
            return pool.submit(judge, job).result()
    except BrokenProcessPool:
        problem = (
            "grader: judging it ended the process that judged it, "
            f"or was not done within {ONE_TAKES_AT_MOST_S} s"
        )
        return refused(job.grade, job.report, job.key, problem)


def _pool(size: int) -> ProcessPoolExecutor:
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(size, mp_context=context, initializer=gc.disable)


@cache
def _lab(slug: str) -> Lab:
    return load_course().find_lab(slug)
