"""How many failures a job survives."""

from __future__ import annotations

from .job import Job


def exhausted(job: Job, fresh: int) -> bool:
    """Whether this many more failures are too many; every earlier one led to a restart."""
    return job.status.restarts + fresh >= max(job.backoff_limit, 1)
