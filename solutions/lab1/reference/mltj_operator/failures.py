"""What the failure of a pod means for its job.

A failure is counted by one status write that raises `restarts` and names the pod's UID; only then
is the pod deleted, and only then re-created. So it is counted once, wherever the process dies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .backoff import exhausted
from .exitcodes import permanent
from .job import Job
from .pods import Pod


@dataclass(frozen=True)
class Judgement:
    """The failures of a job after this visit."""

    restarts: int
    counted: tuple[str, ...]
    fresh: int
    ending: str = ""
    """The reason why the job fails; empty when it goes on."""


def judge(job: Job, pods: Iterable[Pod]) -> Judgement:
    """Count the failures nobody counted yet, and say whether the job survives them."""
    present = tuple(pods)
    known = tuple(pod.uid for pod in present if pod.uid in job.status.counted)
    fresh = [p for p in present if p.failed and not p.disrupted and p.uid not in known]
    restarts = job.status.restarts
    ending = _ending(job, fresh)
    if ending:
        return Judgement(restarts, known, len(fresh), ending)
    counted = known + tuple(pod.uid for pod in fresh)
    return Judgement(restarts + len(fresh), counted, len(fresh))


def _ending(job: Job, fresh: list[Pod]) -> str:
    if not fresh:
        return ""
    if job.restart_policy == "Never":
        return "PodFailed"
    if job.restart_policy == "ExitCode" and any(permanent(pod) for pod in fresh):
        return "PermanentExitCode"
    if exhausted(job, len(fresh)):
        return "BackoffLimitExceeded"
    return ""
