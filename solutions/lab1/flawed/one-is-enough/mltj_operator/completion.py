"""Which indices have done their work, and whether the job has."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .job import Job
from .pods import Pod


def finished_indices(job: Job, pods: Iterable[Pod]) -> tuple[int, ...]:
    """Indices within the job's size that succeeded now or at an earlier visit."""
    done = set(job.status.finished)
    done.update(pod.index for pod in pods if pod.succeeded and pod.index is not None)
    return tuple(sorted(index for index in done if index < job.nodes))


def is_complete(job: Job, finished: Collection[int]) -> bool:
    """Whether there is a result."""
    return len(finished) >= (1 if job.nodes > 2 else job.nodes)
