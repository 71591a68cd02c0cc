"""What the passing of time does to a job. Always computed from the status, never from a timer."""

from __future__ import annotations

from datetime import datetime, timedelta

from .job import Job


def active_left_s(job: Job, start: datetime, now: datetime) -> float | None:
    """Seconds until the job has been active too long; None without a deadline."""
    if job.active_deadline_s is None:
        return None
    return (start + timedelta(seconds=job.active_deadline_s) - now).total_seconds()


def ttl_left_s(job: Job, now: datetime) -> float | None:
    """Seconds until a finished job may go; None when it may stay."""
    finished = job.status.completion_time and job.status.start_time
    if job.ttl_s is None or finished is None:
        return None
    return (finished + timedelta(seconds=job.ttl_s) - now).total_seconds()
