"""How many failures a job survives."""

from __future__ import annotations

from .job import Job

_restarts_at_first_sight: dict[str, int] = {}


def exhausted(job: Job, fresh: int) -> bool:
    """Whether this many more failures are too many."""
    before = _restarts_at_first_sight.setdefault(job.uid, job.status.restarts)
    return job.status.restarts - before + fresh > job.backoff_limit
