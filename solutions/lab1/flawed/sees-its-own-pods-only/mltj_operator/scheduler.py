"""Let gangs start, one at a time."""

from __future__ import annotations

import asyncio

from .api import MERGE_PATCH, Api
from .gang import admitted
from .job import Job
from .names import ALL_NODES, ALL_PODS, GANG_GATE, core_path
from .ownership import split
from .pods import Pod, gates, parse_pod
from .room import Room


class GangScheduler:
    """Lifts the gate of pods that fit."""

    def __init__(self, api: Api) -> None:
        self._api = api
        # Two gangs that look at the same places at the same time would each take half of them.
        self._one_at_a_time = asyncio.Lock()

    async def admit(self, job: Job) -> None:
        """Lift the gates of a job's waiting pods, if enough of them fit.

        Raises:
            Conflict, NotFound: a pod was replaced or removed meanwhile: visit the job again.
            Refused, Unavailable, NotLeading: as for `Api.write`.
        """
        async with self._one_at_a_time:
            nodes = await self._api.get(ALL_NODES)
            everywhere = (await self._api.get(ALL_PODS)).get("items") or []
            here = [p for p in everywhere if p["metadata"]["namespace"] == job.key.namespace]
            own, _ = split(here, job.uid)
            pods = [parse_pod(raw, job.key.name) for raw in own]
            room = Room(nodes.get("items") or (), own)
            for pod in admitted(job, pods, room):
                await self._lift(job, pod)

    async def _lift(self, job: Job, pod: Pod) -> None:
        others = [{"name": name} for name in gates(pod.raw) if name != GANG_GATE]
        # Without a version: a status that moved meanwhile is no reason to start only half a gang,
        # and a gate that somebody else has lifted the API server does not let anybody put back.
        body = {"metadata": {"uid": pod.uid}, "spec": {"schedulingGates": others or None}}
        path = core_path("pods", job.key.namespace, pod.name)
        await self._api.write("PATCH", path, body, content_type=MERGE_PATCH)
