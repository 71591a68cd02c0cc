"""Which pods a job of this size lacks, and which it has too many of."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .job import Job
from .pods import Pod


def inside(job: Job, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """The pods whose index the job wants."""
    return tuple(pod for pod in pods if pod.index is not None and pod.index < job.nodes)


def surplus(job: Job, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """The pods to remove, highest index first."""
    present = [pod for pod in pods if not pod.terminating]
    if job.gang and any(pod.failed for pod in present):
        return tuple(pod for pod in inside(job, present) if not pod.failed)
    extra = [pod for pod in present if pod.index is None or pod.index >= job.nodes]
    return tuple(sorted(extra, key=lambda pod: pod.index or 0, reverse=True))


def missing(
    job: Job, pods: Iterable[Pod], finished: Collection[int], taken: Collection[str]
) -> tuple[int, ...]:
    """The indices to create now: wanted, not finished, and with a name that is free.

    A name is free when neither a pod of ours, a terminating one included, nor somebody else's
    (`taken`) has it.
    """
    occupied = {pod.name for pod in pods} | set(taken)
    wanted = (i for i in range(job.nodes) if i not in finished)
    return tuple(i for i in wanted if job.pod_name(i) not in occupied)
