"""Reports of every verdict, with outcomes of every status, for tests of what shows them."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from graders.model import (
    Criterion,
    CriterionScore,
    Fault,
    GradeReport,
    Outcome,
    Score,
    Status,
    Verdict,
)

OUTCOMES = (
    Outcome(
        "creates-pods", Status.PASSED, "Creates one pod for each node", facts={"creates": 4}, duration_s=0.01
    ),
    Outcome(
        "retries",
        Status.FAILED,
        "Stops after backoffLimit failures, also across a restart of the operator",
        expected="two re-creations after three failures, then Failed and no more creates",
        observed="a third re-creation of flaky-2, 0.8 s after its third failure",
        facts={"recreations": 3, "backoff_limit": 2, "failures_seen_s": [5.0, 10.0, 14.0]},
        hint="Keep the count in status.restarts: what a process remembers is gone when it is restarted.",
        fault=Fault.LEARNER,
        duration_s=0.02,
        tracks=("retries",),
    ),
    Outcome(
        "exit-codes",
        Status.BLOCKED,
        "Tells permanent exit codes from ones worth a retry",
        observed="retries did not pass",
        fault=Fault.LEARNER,
    ),
    Outcome(
        "in-cluster",
        Status.UNSUPPORTED,
        "Runs from its own image",
        observed="the embedded cluster has no real pods",
    ),
    Outcome("events", Status.PASSED, "Tells every transition in an Event", facts={"events": 9}),
)


def _scored(
    name: str, group: str, points: str, earned: str | None, status: Status, **more: Any
) -> CriterionScore:
    criterion = Criterion(name, more.pop("title", name), group, Decimal(points), (name,), **more)
    return CriterionScore(criterion, Decimal(points), None if earned is None else Decimal(earned), status)


SCORE = Score(
    criteria=(
        _scored(
            "creates-pods", "lifecycle", "6.5", "6.5", Status.PASSED, title="Creates one pod for each node"
        ),
        _scored("retries", "failures", "4", "0", Status.FAILED, title="Stops after backoffLimit failures"),
        _scored("exit-codes", "failures", "3", "0", Status.BLOCKED, title="Reads exit codes"),
        _scored("in-cluster", "lifecycle", "0", "0", Status.UNSUPPORTED, title="Runs from its own image"),
        _scored(
            "events", "signals", "2.35", "2.35", Status.PASSED, title="Tells every transition in an Event"
        ),
        _scored("leader", "disturbed-world", "5", "0", Status.BLOCKED, title="One leader", planned=True),
        _scored("gang", "scheduling", "2.5", "0", Status.BLOCKED, title="All or none", planned=True),
    ),
    total=Decimal("8.85"),
    possible=Decimal("15.85"),
    notes=("in-cluster cannot be shown on embedded; its 2 points moved to lifecycle",),
)

PROVENANCE = {
    "kubeproof": "0.1.0",
    "rubric": {"version": "1", "sha256": "f" * 64},
    "provider": "embedded",
    "kubernetes": "v1.37.2",
    "sandbox": "bubblewrap",
    "seed": 7,
    "scale": 1.0,
}


def graded() -> GradeReport:
    """A report with a loss, something blocked, something unsupported and something planned."""
    return GradeReport(
        lab="lab1",
        verdict=Verdict.GRADED,
        submission={"learner_id": "ada", "digest": "sha256:" + "0" * 64},
        outcomes=OUTCOMES,
        score=SCORE,
        provenance=PROVENANCE,
        timing={"set up": 0.41, "cluster": 3.2, "scenario": 15.4, "judging": 0.3},
        warnings=("graded without a sandbox",),
    )


def ungraded() -> GradeReport:
    """A report whose checks met a fault of the infrastructure and one of the grader."""
    broken = (
        Outcome(
            "suspend",
            Status.ERROR,
            "Deletes pods while suspended",
            observed="the API server stopped answering for 12 s",
            fault=Fault.INFRASTRUCTURE,
        ),
        Outcome(
            "metrics",
            Status.ERROR,
            "Counts what happened",
            observed="the check broke",
            fault=Fault.GRADER,
            detail="Traceback (most recent call last):\nKeyError: 'secret-of-the-check'",
        ),
    )
    criteria = (
        *SCORE.criteria,
        _scored("suspend", "lifecycle", "3", None, Status.ERROR),
        _scored("metrics", "signals", "4", None, Status.ERROR),
    )
    return dataclasses.replace(
        graded(),
        verdict=Verdict.UNGRADED,
        outcomes=OUTCOMES + broken,
        score=Score(criteria, None, Decimal("22.85")),
        problem="the API server stopped answering for 12 s",
    )


def rejected() -> GradeReport:
    """A report of a submission that could not be read."""
    return GradeReport(
        lab="lab1",
        verdict=Verdict.REJECTED,
        submission={"learner_id": "ada"},
        outcomes=(),
        score=None,
        provenance=PROVENANCE,
        problem="submission.yaml:7: operator.comand: there is no such key\n  fix: did you mean command?",
    )


REPORTS = {"graded": graded, "ungraded": ungraded, "rejected": rejected}
"""A maker of a report for each verdict."""
