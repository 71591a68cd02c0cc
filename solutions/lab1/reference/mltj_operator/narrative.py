"""The six conditions a job shows in each stage of its life.

Reasons and messages depend on the stage alone, so that a job which was watched all the way and one
that was found again after a crash read the same.
"""

from __future__ import annotations

from . import conditions as conds
from .conditions import Wanted

_MESSAGES = {
    "AllPodsSucceeded": "every pod has succeeded",
    "PodFailed": "a pod failed and the restart policy is Never",
    "PermanentExitCode": "a pod failed with an exit code that is not retried",
    "BackoffLimitExceeded": "more pods failed than the backoff limit allows",
    "DeadlineExceeded": "the job was active longer than activeDeadlineSeconds",
}


def _all(**true: Wanted) -> dict[str, Wanted]:
    quiet = {
        conds.CREATED: Wanted(True, "Accepted", "the job is being looked after"),
        conds.RUNNING: Wanted(False, "NotRunning", "not enough pods are running"),
        conds.RESTARTING: Wanted(False, "NotRestarting", "no failed pod is being replaced"),
        conds.SUSPENDED: Wanted(False, "NotSuspended", "the job is not suspended"),
        conds.COMPLETE: Wanted(False, "NotComplete", "work is left to do"),
        conds.FAILED: Wanted(False, "NotFailed", "the job has not failed"),
    }
    return {**quiet, **true}


def under_way(*, running: bool, restarting: bool) -> dict[str, Wanted]:
    """The job wants its pods up."""
    if running:
        return _all(Running=Wanted(True, "PodsRunning", "enough pods are running"))
    if restarting:
        return _all(Restarting=Wanted(True, "PodFailed", "a failed pod is being replaced"))
    return _all()


def suspended() -> dict[str, Wanted]:
    """The job wants no pods."""
    return _all(Suspended=Wanted(True, "Suspended", "the job is suspended"))


def over(condition: str, reason: str) -> dict[str, Wanted]:
    """The job is Complete or Failed, for this reason."""
    return _all(**{condition: Wanted(True, reason, _MESSAGES[reason])})
