"""What the status says of a job with which nothing is left to do; pure, nothing live."""

from typing import Any

from graders.evidence.records import Object
from graders.lab1.api import is_true, replica_counts, status_field


def outcome(job: Object) -> dict[str, Any]:
    """As far as the contract fixes it: equal for two jobs to which the same has happened."""
    return {
        "observedGeneration": status_field(job, "observedGeneration"),
        "restarts": status_field(job, "restarts") or 0,
        "replicaStatuses": replica_counts(job, ("active", "ready", "failed")),
        "Running": is_true(job, "Running"),
        "Failed": is_true(job, "Failed"),
    }
