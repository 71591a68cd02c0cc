"""What to do about a job: a pure function of one reading of the world.

It is asked again after every change, so it never has to look ahead: it says what can be done now,
and the next reading says what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from . import conditions as conds
from . import deadlines, indices, narrative, times
from .cleanup import leftovers
from .completion import finished_indices, is_complete
from .failures import judge
from .job import Job
from .lifetime import start_time
from .pods import Pod
from .status import Replicas, Status


@dataclass(frozen=True)
class World:
    """One reading: a job, the pods it controls, and what stands in its way."""

    job: Job
    pods: tuple[Pod, ...]
    now: datetime
    taken: frozenset[str] = frozenset()
    """Names of pods that belong to somebody else."""
    service_present: bool = True
    """Whether the Service's name is in use, by ours or by somebody else's."""


@dataclass(frozen=True)
class Plan:
    """What to write, in the order of the fields."""

    status: Status | None = None
    """None leaves it as it is."""
    deletes: tuple[Pod, ...] = ()
    create_service: bool = False
    creates: tuple[int, ...] = ()
    delete_job: bool = False
    gated: bool = False
    """Whether pods wait for room."""
    wake_after_s: float | None = None
    """When to look again although nothing may happen until then."""

    def due(self, job: Job) -> bool:
        """Whether anything is to be done."""
        writes = self.deletes or self.creates or self.create_service or self.delete_job
        return bool(writes or self.gated or self.status_changes(job))

    def status_changes(self, job: Job) -> dict[str, Any]:
        """The merge patch for the job's status; empty when it is as it should be."""
        return self.status.changes(job.raw_status) if self.status else {}


def plan(world: World) -> Plan:
    """Decide."""
    job = world.job
    if job.deleting:
        return Plan()
    if job.status.ended:
        return _after_end(world)
    if job.suspend:
        return _suspended(world)
    return _active(world)


def _active(world: World) -> Plan:
    job, now = world.job, world.now
    start = start_time(job.status, False, now) or now
    pods = indices.inside(job, world.pods)
    finished = finished_indices(job, pods)
    judgement = judge(job, pods)
    status = replace(
        job.status,
        observed_generation=job.generation,
        start_time=start,
        finished=finished,
        restarts=judgement.restarts,
        counted=judgement.counted,
        replicas=_replicas(world.pods, len(finished)),
    )
    left_s = deadlines.active_left_s(job, start, now)
    if is_complete(job, finished):
        return _end(world, status, conds.COMPLETE, "AllPodsSucceeded")
    if judgement.ending:
        return _end(world, status, conds.FAILED, judgement.ending)
    if left_s is not None and left_s <= 0:
        return _end(world, status, conds.FAILED, "DeadlineExceeded")

    spent = tuple(p for p in pods if p.failed)
    running = not judgement.counted and _is_running(job, pods, len(finished))
    restarting = not running and (judgement.fresh > 0 or job.status.is_true(conds.RESTARTING))
    if running and (status.restarts or not status.first_running_time):
        status = replace(status, first_running_time=times.whole(now))
    told = narrative.under_way(running=running, restarting=restarting)
    return Plan(
        status=_told(status, told, now),
        deletes=spent + indices.surplus(job, world.pods),
        create_service=not world.service_present,
        creates=indices.missing(job, world.pods, finished, world.taken),
        gated=any(pod.gated and pod.active for pod in pods),
        wake_after_s=left_s,
    )


def _suspended(world: World) -> Plan:
    job = world.job
    present = {pod.uid for pod in world.pods}
    status = replace(
        job.status,
        observed_generation=job.generation,
        start_time=start_time(job.status, True, world.now),
        finished=(),
        counted=tuple(uid for uid in job.status.counted if uid in present),
        replicas=_replicas(world.pods, 0),
    )
    return Plan(
        status=_told(status, narrative.suspended(), world.now),
        deletes=tuple(pod for pod in world.pods if not pod.terminating),
        create_service=not world.service_present,
    )


def _end(world: World, status: Status, condition: str, reason: str) -> Plan:
    job = world.job
    ended = replace(
        status,
        completion_time=times.whole(world.now),
        counted=(),
        clean_pod_policy=job.clean_pod_policy,
    )
    return Plan(
        status=_told(ended, narrative.over(condition, reason), world.now),
        deletes=leftovers(job.clean_pod_policy, world.pods),
        wake_after_s=job.ttl_s,
    )


def _after_end(world: World) -> Plan:
    job = world.job
    live = _replicas(world.pods, 0)
    status = replace(
        job.status,
        observed_generation=job.generation,
        replicas=replace(job.status.replicas, active=live.active, ready=live.ready),
    )
    left_s = deadlines.ttl_left_s(job, world.now)
    return Plan(
        status=status,
        deletes=leftovers(job.status.clean_pod_policy, world.pods),
        delete_job=left_s is not None and left_s <= 0,
        wake_after_s=left_s,
    )


def _is_running(job: Job, pods: tuple[Pod, ...], finished: int) -> bool:
    running = sum(pod.running for pod in pods)
    return running > 0 and running + finished >= job.quorum


def _replicas(pods: Iterable[Pod], finished: int) -> Replicas:
    present = [pod for pod in pods if not pod.terminating]
    return Replicas(
        active=sum(pod.active for pod in present),
        ready=sum(pod.ready for pod in present),
        succeeded=finished,
        failed=sum(pod.failed for pod in present),
    )


def _told(status: Status, told: dict[str, conds.Wanted], now: datetime) -> Status:
    return replace(status, conditions=conds.merged(status.conditions, told, now))
