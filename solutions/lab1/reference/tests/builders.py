"""Jobs and pods as the API server would show them, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mltj_operator.job import Job, parse_job
from mltj_operator.names import API_VERSION, INDEX_LABEL, JOB_LABEL, KIND
from mltj_operator.plan import Plan, plan
from mltj_operator.pods import Pod, parse_pod
from mltj_operator.reading import world_of
from mltj_operator.status import Status

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def raw_job(name: str = "train", **changes: Any) -> dict[str, Any]:
    trainer = {
        "numNodes": changes.pop("nodes", 2),
        "restartPolicy": changes.pop("restart_policy", "OnFailure"),
        "template": changes.pop(
            "template", {"spec": {"containers": [{"name": "trainer", "image": "trainer:1"}]}}
        ),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": "lab",
            "uid": changes.pop("uid", f"uid-{name}"),
            "generation": changes.pop("generation", 1),
            "resourceVersion": "7",
            **changes.pop("metadata", {}),
        },
        "spec": {"runPolicy": changes.pop("policy", {}), "trainer": trainer},
        "status": changes.pop("status", {}),
    }


def a_job(name: str = "train", **changes: Any) -> Job:
    return parse_job(raw_job(name, **changes))


def raw_pod(name: str = "train-0", phase: str = "Pending", **changes: Any) -> dict[str, Any]:
    job, _, index = name.rpartition("-")
    owner = changes.pop("owner", f"uid-{job}")
    exit_codes = changes.pop("exit_codes", ())
    terminated = [{"state": {"terminated": {"exitCode": code}}} for code in exit_codes]
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "lab",
        "uid": changes.pop("uid", f"uid-{name}"),
        "resourceVersion": "1",
        "labels": {JOB_LABEL: job, INDEX_LABEL: index},
        "ownerReferences": [{"controller": True, "uid": owner}],
    }
    if changes.pop("terminating", False):
        meta["deletionTimestamp"] = "2030-01-01T12:00:00Z"
    return {
        "metadata": meta,
        "spec": {"containers": [{"name": "trainer"}], **changes.pop("spec", {})},
        "status": {"phase": phase, "containerStatuses": terminated, **changes.pop("status", {})},
    }


def a_pod(name: str = "train-0", phase: str = "Pending", **changes: Any) -> Pod:
    return parse_pod(raw_pod(name, phase, **changes), name.rpartition("-")[0])


def running(*indices: int) -> list[dict[str, Any]]:
    return [raw_pod(f"train-{index}", "Running") for index in indices]


def decide(
    raw: dict[str, Any], pods: list[dict[str, Any]], *, at_s: float = 0, service: bool = True
) -> Plan:
    """Plan for a job with these pods, `at_s` seconds after NOW."""
    return plan(world_of(parse_job(raw), pods, service, later(at_s)))


def after(raw: dict[str, Any], decided: Plan) -> dict[str, Any]:
    """The job once the plan's status is written."""
    status = {**raw["status"], **told(decided).changes(raw["status"])}
    return {**raw, "status": {key: value for key, value in status.items() if value is not None}}


def true_conditions(decided: Plan) -> set[str]:
    return {str(c["type"]) for c in told(decided).conditions if c["status"] == "True"}


def told(decided: Plan) -> Status:
    """The status a plan wants."""
    assert decided.status
    return decided.status
