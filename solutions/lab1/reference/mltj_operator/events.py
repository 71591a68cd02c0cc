"""Kubernetes Events: one for each thing that happened to a job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import times
from .job import Job
from .names import API_VERSION, COMPONENT, KIND
from .transitions import Transitions


@dataclass(frozen=True)
class News:
    """What an Event says."""

    reason: str
    message: str
    warning: bool = False
    count: int = 1


def news(happened: Transitions) -> Iterator[News]:
    """What is worth telling about a status write."""
    if happened.created:
        yield News("Created", "the job was accepted")
    if happened.suspended:
        yield News("Suspended", "the job is suspended; its pods are deleted")
    if happened.resumed:
        yield News("Resumed", "the job goes on; its pods are created again")
    if happened.restarts > 0:
        yield News("Restarting", "a pod failed and is re-created", True, happened.restarts)
    if happened.running:
        yield News("Running", "enough pods are running")
    if happened.complete:
        yield News("Complete", "every pod has succeeded")
    if happened.failed:
        yield News("Failed", "the job has failed", True)


def build_event(job: Job, item: News, reporter: str, now: datetime) -> dict[str, Any]:
    """The Event to post.

    Its name follows from what it reports, so that telling the same thing twice is a conflict and
    not a second Event.
    """
    identity = f"{job.uid}/{job.resource_version}/{item.reason}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job.key.name}.{digest}", "namespace": job.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": job.key.name,
            "namespace": job.key.namespace,
            "uid": job.uid,
            "resourceVersion": job.resource_version,
        },
        "type": "Warning" if item.warning else "Normal",
        "reason": item.reason,
        "message": item.message,
        "count": item.count,
        "firstTimestamp": times.render(now),
        "lastTimestamp": times.render(now),
        "source": {"component": COMPONENT},
        "reportingComponent": f"{API_VERSION.split('/')[0]}/{COMPONENT}",
        "reportingInstance": reporter,
    }
