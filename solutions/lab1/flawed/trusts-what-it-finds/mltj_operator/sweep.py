"""The safety net: look at everything, and wake whoever has something to do.

Watches may be late, cut or silent. Every few seconds three reads show all there is; jobs at rest
cost nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from . import times
from .api import Api, Refused
from .breaker import Unavailable
from .conditions import RUNNING
from .job import Job, Key, parse_job
from .metrics import Metrics
from .names import ALL_JOBS, ALL_PODS, ALL_SERVICES, JOB_LABEL
from .ownership import Object
from .plan import plan
from .reading import ask_for_pods, world_of

Picture = tuple[int, frozenset[tuple[str, str]]]

SWEEP_EVERY_S = 3.0
STANDBY_POLL_S = 0.1

logger = logging.getLogger(__name__)


def due(
    jobs: list[Object], pods: list[Object], services: list[Object], now: datetime
) -> Iterator[Key]:
    """The jobs whose plan is not empty."""
    by_job: dict[Key, list[Object]] = defaultdict(list)
    for pod in pods:
        meta = pod["metadata"]
        # Whoever owns a pod: its label says which job's reading it turns up in.
        by_job[Key(meta["namespace"], meta["labels"][JOB_LABEL])].append(pod)
    names = {Key(s["metadata"]["namespace"], s["metadata"]["name"]) for s in services}
    for raw in jobs:
        job = parse_job(raw)
        world = world_of(job, by_job[job.key], job.key in names, now)
        if plan(world).due(job):
            yield job.key


class Sweeper:
    """Sweeps while this process leads."""

    def __init__(
        self, api: Api, metrics: Metrics, wake: Callable[[Key], None], leading: Callable[[], bool]
    ) -> None:
        self._api = api
        self._metrics = metrics
        self._wake = wake
        self._leading = leading
        self._found: dict[Key, Picture] | None = None

    async def run(self) -> None:
        """Sweep as soon as this process leads, and every few seconds from then on; forever."""
        while True:
            while self._found is None or not self._leading():
                await self._look_around()
                await asyncio.sleep(STANDBY_POLL_S)
            try:
                await self.sweep()
            except (Refused, Unavailable) as error:
                logger.warning("The sweep is put off: %s", error)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _look_around(self) -> None:
        if self._found is not None:
            return
        try:
            jobs = (await self._api.get(ALL_JOBS)).get("items") or []
            pods = (await self._api.get(ALL_PODS, **ask_for_pods())).get("items") or []
        except (Refused, Unavailable) as error:
            logger.warning("Nothing could be seen yet: %s", error)
        else:
            self._found = pictures(jobs, pods)

    async def sweep(self) -> None:
        """Look at all jobs once.

        Raises:
            Refused, Unavailable: as for `Api.get`.
        """
        jobs = (await self._api.get(ALL_JOBS)).get("items") or []
        pods = (await self._api.get(ALL_PODS, **ask_for_pods())).get("items") or []
        services = (await self._api.get(ALL_SERVICES)).get("items") or []
        active = [job for job in map(parse_job, jobs) if not job.status.ended]
        self._metrics.saw_all(job.key for job in active)
        now, found = pictures(jobs, pods), self._found or {}
        fine = {job.key for job in map(parse_job, jobs) if settled(job, now[job.key])}
        for key in due(jobs, pods, services, times.utc_now()):
            # A job in order, with everything as it was found: there was no change to follow.
            if key not in fine or now[key] != found.get(key):
                self._wake(key)


def settled(job: Job, picture: Picture) -> bool:
    """Whether a job runs, with as many pods as its status says; what its spec says is not asked."""
    phases = [phase for _, phase in picture[1]]
    active = sum(phase in ("Pending", "Running") for phase in phases)
    return (
        job.status.is_true(RUNNING)
        and active == job.status.replicas.active
        and "Failed" not in phases
    )


def pictures(jobs: list[Object], pods: list[Object]) -> dict[Key, Picture]:
    """What there is of each job: its generation, and its pods with their phases."""
    parts: dict[Key, set[tuple[str, str]]] = defaultdict(set)
    for pod in pods:
        meta, status = pod["metadata"], pod.get("status") or {}
        key = Key(meta["namespace"], meta["labels"][JOB_LABEL])
        parts[key].add((meta["uid"], status.get("phase", "")))
    return {job.key: (job.generation, frozenset(parts[job.key])) for job in map(parse_job, jobs)}
