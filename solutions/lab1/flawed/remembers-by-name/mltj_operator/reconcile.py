"""Carry a plan out: read, decide, write, and read again if anything went otherwise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import times
from .api import MERGE_PATCH, Api, Conflict, NotFound
from .breaker import Unavailable
from .children import build_pod
from .job import Job, Key, parse_job
from .metrics import Metrics
from .names import core_path, job_path
from .plan import Plan, plan
from .pods import Pod
from .reading import ask_for_pods, world_of
from .reporter import Reporter
from .scheduler import GangScheduler
from .service import build_service
from .status import Status
from .transitions import Transitions, between

# A job may be deleted while its pods are being created: after this long, look at it again first.
READING_GOOD_FOR_S = 0.5

logger = logging.getLogger(__name__)


class Reconciler:
    """Moves one job at a time towards what its spec asks for."""

    def __init__(
        self,
        api: Api,
        metrics: Metrics,
        reporter: Reporter,
        now: Callable[[], datetime] = times.utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._metrics = metrics
        self._reporter = reporter
        self._scheduler = GangScheduler(api)
        self._now = now
        self._clock = clock
        self._written: dict[Key, str] = {}
        self._unsure: dict[Key, tuple[Job, Plan]] = {}
        self._restarts: dict[Key, int] = {}

    def knows(self, key: Key, resource_version: str) -> bool:
        """Whether this version of a job is the one that the last visit itself wrote."""
        return self._written.get(key) == resource_version

    async def reconcile(self, key: Key) -> float | None:
        """Visit a job once; returns seconds until it wants to be visited anyway, or None.

        Raises:
            Conflict: something changed between the reading and a write: visit again.
            Refused, Unavailable, NotLeading: as for `Api.write`.
        """
        pods, service = await asyncio.gather(
            self._api.get(core_path("pods", key.namespace), **ask_for_pods(key.name)),
            self._read_service(key),
        )
        try:
            # Last, so that a deletion is seen before pods are created.
            raw = await self._api.get(job_path(key.namespace, key.name))
        except NotFound:
            self._metrics.saw(key, active=False)
            self._written.pop(key, None)
            self._unsure.pop(key, None)
            return None
        read_at = self._clock()
        job = parse_job(raw)
        await self._settle(job)
        restarts = max(job.status.restarts, self._restarts.get(key, 0))
        job = replace(job, status=replace(job.status, restarts=restarts))
        self._restarts[key] = restarts
        world = world_of(job, pods.get("items") or (), service, self._now())
        self._metrics.saw(key, active=not job.status.ended)
        decided = plan(world)
        await self._carry_out(job, decided, read_at)
        if decided.gated:
            await self._scheduler.admit(job)
        return decided.wake_after_s

    async def _read_service(self, key: Key) -> bool:
        try:
            await self._api.get(core_path("services", key.namespace, key.name))
        except NotFound:
            return False
        return True

    async def _carry_out(self, job: Job, decided: Plan, read_at: float) -> None:
        happened = await self._write_status(job, decided)
        try:
            for pod in decided.deletes:
                await self._delete_pod(job, pod)
            if decided.create_service:
                path = core_path("services", job.key.namespace)
                await self._api.write("POST", path, build_service(job))
            await self._create_pods(job, decided.creates, read_at)
            if decided.delete_job:
                await self._delete_job(job)
        finally:
            if happened:
                await self._reporter.tell(job, happened)

    async def _create_pods(self, job: Job, wanted: tuple[int, ...], read_at: float) -> None:
        conflict: Conflict | None = None
        for nth, index in enumerate(wanted):
            if nth and self._clock() - read_at > READING_GOOD_FOR_S:
                await self._expect_unchanged(job)
                read_at = self._clock()
            try:
                path = core_path("pods", job.key.namespace)
                await self._api.write("POST", path, build_pod(job, index))
            except Conflict as error:
                conflict = error  # one name that is taken does not hold up the others
        if conflict:
            raise conflict

    async def _expect_unchanged(self, job: Job) -> None:
        fresh = parse_job(await self._api.get(job_path(job.key.namespace, job.key.name)))
        same = (fresh.uid, fresh.generation) == (job.uid, job.generation)
        if fresh.deleting or not same:
            raise Conflict(409, job.key.name, "it changed while its pods were created")

    async def _write_status(self, job: Job, decided: Plan) -> Transitions | None:
        changes = decided.status_changes(job)
        if decided.status is None or not changes:
            return None
        path = job_path(job.key.namespace, job.key.name)
        meta = {"resourceVersion": job.resource_version, "uid": job.uid}
        body: dict[str, Any] = {"metadata": meta, "status": changes}
        try:
            raw = await self._api.write("PATCH", f"{path}/status", body, content_type=MERGE_PATCH)
        except Unavailable:
            # The answer was lost; whether the write was, the next reading tells.
            self._unsure[job.key] = (job, decided)
            raise
        self._written[job.key] = raw["metadata"]["resourceVersion"]
        return self._record(job, decided.status)

    def _record(self, before: Job, written: Status) -> Transitions:
        happened = between(before.status, written)
        self._metrics.record(before.key, happened)
        self._metrics.saw(before.key, active=not written.ended)
        return happened

    async def _settle(self, job: Job) -> None:
        """Count and tell a status write whose answer was lost, if this reading has it."""
        before, decided = self._unsure.pop(job.key, (job, None))
        if decided is None or decided.status is None or before.uid != job.uid:
            return
        if before.resource_version != job.resource_version and not decided.status_changes(job):
            await self._reporter.tell(before, self._record(before, decided.status))

    async def _delete_pod(self, job: Job, pod: Pod) -> None:
        path = core_path("pods", job.key.namespace, pod.name)
        try:
            await self._api.write("DELETE", path, {"preconditions": {"uid": pod.uid}})
        except NotFound:
            logger.debug("%s is gone already", pod.name)

    async def _delete_job(self, job: Job) -> None:
        path = job_path(job.key.namespace, job.key.name)
        same = {"uid": job.uid, "resourceVersion": job.resource_version}
        await self._api.write(
            "DELETE", path, {"propagationPolicy": "Background", "preconditions": same}
        )
