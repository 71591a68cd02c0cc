"""Turn API objects into the world a plan is made for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .job import Job
from .names import JOB_LABEL
from .ownership import Object, split
from .plan import World
from .pods import parse_pod


def ask_for_pods(job_name: str = "") -> dict[str, str]:
    """The query for the pods of one job, or of all jobs; it finds other people's pods too."""
    return {"labelSelector": f"{JOB_LABEL}={job_name}" if job_name else JOB_LABEL}


def world_of(job: Job, pods: Iterable[Object], service_present: bool, now: datetime) -> World:
    """One reading, sorted by whom the objects belong to."""
    own, foreign = split(pods, job.uid)
    return World(
        job=job,
        pods=tuple(parse_pod(raw, job.key.name) for raw in own),
        taken=frozenset(raw["metadata"]["name"] for raw in foreign),
        service_present=service_present,
        now=now,
    )
