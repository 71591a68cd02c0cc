"""Retries, exit codes, lost pods and deadlines: each flaw in the record costs exactly its check."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graders.model import Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Record, Recording, condition

RETRIES = "retries"
CODES = "exit-codes"
LOSS = "pod-loss"
DEADLINES = "deadlines"


def _status(track: str, job: str, **fields: object) -> Mutation:
    return lambda r: r.last(track, job)["status"].update(fields)


def _last_condition(track: str, job: str, kind: str, **fields: object) -> Mutation:
    return lambda r: condition(r.last(track, job), kind).update(fields)


def _again(track: str, pod: str) -> Mutation:
    return lambda r: r.again(r.creates(track, pod)[0])


def _one_create_less(track: str, pod: str) -> Mutation:
    return lambda r: r.remove("audit", r.creates(track, pod)[-1])


def _left_running(track: str, pod: str) -> Mutation:
    return lambda r: r.revive(track, pod)


# --- retries ---------------------------------------------------------------------------------------


def _failed_early(r: Recording) -> None:
    last = r.mark(RETRIES, "last-failure")["t"]
    r.set_condition(RETRIES, "flaky", "Failed", "True", until=last)


def _created_late(r: Recording) -> None:
    r.creates(RETRIES, "flaky-1")[-1]["t"] = r.mark(RETRIES, "last-failure")["t"] + 0.5


RETRIES_FLAWS = (
    Flaw(RETRIES, "one retry too many", _again(RETRIES, "flaky-0"), "2 re-creations): 5"),
    Flaw(RETRIES, "one retry too few", _one_create_less(RETRIES, "flaky-1"), "2 re-creations): 3"),
    Flaw(RETRIES, "count lost at the restart", _status(RETRIES, "flaky", restarts=1), "status.restarts 1"),
    Flaw(RETRIES, "count in words", _status(RETRIES, "flaky", restarts="two"), "status.restarts two"),
    Flaw(RETRIES, "pod after the last failure", _created_late, "no pod created after the third failure"),
    Flaw(RETRIES, "gives up early", _failed_early, "Failed was True already"),
    Flaw(
        RETRIES,
        "never Failed",
        _last_condition(RETRIES, "flaky", "Failed", status="False"),
        "Failed is not True",
    ),
    Flaw(
        RETRIES, "Complete as well", _last_condition(RETRIES, "flaky", "Complete", status="True"), "as well"
    ),
    Flaw(
        RETRIES,
        "still Running",
        _last_condition(RETRIES, "flaky", "Running", status="True"),
        "Running is True",
    ),
    Flaw(
        RETRIES,
        "no completionTime",
        _status(RETRIES, "flaky", completionTime=None),
        "completionTime is empty",
    ),
    Flaw(
        RETRIES, "limit of 0 not kept", _again(RETRIES, "strict-0"), "strict: pod creates (backoffLimit 0): 3"
    ),
    Flaw(
        RETRIES,
        "several at once taken for one",
        lambda r: r.miss(RETRIES, "the job crowd: Failed is True"),
        "crowd: Failed is True",
    ),
    Flaw(
        RETRIES,
        "all at once and not Failed",
        _last_condition(RETRIES, "crowd", "Failed", status="False"),
        "crowd: Failed is not True",
    ),
    Flaw(
        RETRIES,
        "never Failed with a limit of 0",
        lambda r: r.miss(RETRIES, "the job strict: Failed is True"),
        "strict: Failed is True",
    ),
    Flaw(RETRIES, "pod left running", _left_running(RETRIES, "flaky-1"), "flaky-1 still ran"),
    Flaw(
        RETRIES,
        "never retried",
        lambda r: r.miss(RETRIES, "flaky: a new pod"),
        "flaky: a new pod, within 10 s",
    ),
)


@every(RETRIES_FLAWS)
def test_a_wrong_count_costs_retries(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- exit-codes ------------------------------------------------------------------------------------

CODES_FLAWS = (
    Flaw(
        CODES,
        "code 1 retried",
        _again(CODES, "permanent-0"),
        "permanent: pod creates (exit code 1 is permanent): 2",
    ),
    Flaw(CODES, "Never retried", _again(CODES, "never-0"), "never: pod creates (restartPolicy is Never): 2"),
    Flaw(
        CODES,
        "137 not retried",
        _one_create_less(CODES, "retried-0"),
        "(137, 128 and no code are retried): 3",
    ),
    Flaw(CODES, "second container unasked", _again(CODES, "beside-0"), "the second with 127): 2"),
    Flaw(CODES, "init container unasked", _again(CODES, "before-0"), "its init container ended with 127): 2"),
    Flaw(
        CODES,
        "code of the second container not Failed",
        _last_condition(CODES, "beside", "Failed", status="False"),
        "beside: Failed is not True",
    ),
    Flaw(CODES, "retried without a limit", _again(CODES, "signalled-0"), "signalled: at most one pod more"),
    Flaw(
        CODES,
        "limit on signals not kept",
        lambda r: r.miss(CODES, "the job signalled: Failed is True"),
        "signalled: Failed is True",
    ),
    Flaw(CODES, "not counted", _status(CODES, "retried", restarts=0), "retried: status.restarts 0"),
    Flaw(
        CODES,
        "retried job Failed",
        _last_condition(CODES, "retried", "Failed", status="True"),
        "the retried job not Failed",
    ),
    Flaw(
        CODES,
        "permanent not Failed",
        _last_condition(CODES, "permanent", "Failed", status="False"),
        "permanent: Failed is not True",
    ),
    Flaw(
        CODES,
        "never without end",
        _status(CODES, "never", completionTime=""),
        "never: completionTime is empty",
    ),
    Flaw(
        CODES,
        "phase only",
        lambda r: r.miss(CODES, "the job permanent: Failed is True"),
        "permanent: Failed is",
    ),
)


@every(CODES_FLAWS)
def test_a_misread_exit_code_costs_exit_codes(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- pod-loss --------------------------------------------------------------------------------------


def _after(nth: int, change: Callable[[Record], object]) -> Mutation:
    return lambda r: change(r.mark(LOSS, "after-loss", nth)["data"]["pods"])


def _other_name(pods: Record) -> None:
    pods["lossy-7"] = {**pods.pop("lossy-1"), "index": "7"}


LOSS_FLAWS = (
    Flaw(
        LOSS,
        "two in place of one",
        _again(LOSS, "lossy-1"),
        "lossy: pod creates (3 at first, 2 in place of lost ones): 6",
    ),
    Flaw(LOSS, "other index", _after(0, _other_name), "pods with index 1 after one was deleted: 0"),
    Flaw(LOSS, "evicted one not back", _after(2, lambda pods: pods.pop("lossy-0")), "was evicted: 0"),
    Flaw(
        LOSS,
        "evicted by its kubelet and not back",
        _after(1, lambda pods: pods.pop("starved-1")),
        "after one was evicted by its kubelet: 0",
    ),
    Flaw(
        LOSS,
        "failed on its way out and not back",
        _after(3, lambda pods: pods.pop("starved-0")),
        "after one was deleted, and Failed before it went: 0",
    ),
    Flaw(
        LOSS,
        "others replaced",
        _after(0, lambda p: p["lossy-2"].update(uid="new")),
        "another pod was replaced",
    ),
    Flaw(LOSS, "counted", _status(LOSS, "lossy", restarts=1), "lossy: restarts is 1"),
    Flaw(LOSS, "kubelet's eviction counted", _status(LOSS, "starved", restarts=1), "starved: restarts is 1"),
    Flaw(
        LOSS, "taken for a failure", _last_condition(LOSS, "lossy", "Failed", status="True"), "backoffLimit 0"
    ),
    Flaw(LOSS, "never back", lambda r: r.miss(LOSS, "lossy: a new pod"), "lossy: a new pod"),
)


@every(LOSS_FLAWS)
def test_a_lost_pod_that_is_not_made_good_costs_pod_loss(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_a_pod_of_any_name_is_judged_by_its_index_label(tmp_path: Path) -> None:
    """A name of its own is the business of creates-pods; here the index counts."""

    def rename(r: Recording) -> None:
        pods = r.mark(LOSS, "after-loss", 2)["data"]["pods"]
        pods["lossy-zxc"] = pods.pop("lossy-0")

    assert outcomes_of(rename, tmp_path)[LOSS].status is Status.PASSED


# --- deadlines -------------------------------------------------------------------------------------


def _failed_after(seconds: float, name: str = "overdue") -> Mutation:
    def mutate(r: Recording) -> None:
        job = r.last("deadline", name)
        began = datetime.fromisoformat(job["status"]["startTime"])
        ended = (began + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition(job, "Failed")["lastTransitionTime"] = ended

    return mutate


def _removed_after(seconds: float) -> Mutation:
    def mutate(r: Recording) -> None:
        states = r.seen("ttl", "mltrainingjobs", "short-lived")
        done = next(s["t"] for s in states if condition(s["object"], "Complete").get("status") == "True")
        assert states[-1]["type"] == "DELETED"
        states[-1]["t"] = done + seconds

    return mutate


def _not_removed(r: Recording) -> None:
    r.remove("objects", r.seen("ttl", "mltrainingjobs", "short-lived")[-1])


def _stays(r: Recording) -> None:
    r.remove("objects", r.seen("ttl", "mltrainingjobs", "at-once")[-1])


def _never_done(r: Recording) -> None:
    r.set_condition("ttl", "at-once", "Complete", "False")


def _told_late(r: Recording) -> None:
    """Its pod ended long before the operator said so, and at once removed the job."""
    states = r.seen("ttl", "mltrainingjobs", "short-lived")
    gone = states[-1]["t"] + r.mark("ttl", "clock", 0)["data"]["wall_start"]
    stamp = datetime.fromtimestamp(gone, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for state in states:
        if state["object"].get("status", {}).get("completionTime"):
            state["object"]["status"]["completionTime"] = stamp


def _never_complete(r: Recording) -> None:
    r.set_condition("ttl", "short-lived", "Complete", "False")


DEADLINES_FLAWS = (
    Flaw(
        DEADLINES,
        "other reason",
        _last_condition("deadline", "overdue", "Failed", reason="BackoffLimitExceeded"),
        "reason of Failed BackoffLimitExceeded",
    ),
    Flaw(DEADLINES, "too early", _failed_after(3), "overdue: Failed after 3 s"),
    Flaw(DEADLINES, "too late", _failed_after(60), "overdue: Failed after 60 s"),
    Flaw(
        DEADLINES,
        "no stamp",
        _last_condition("deadline", "overdue", "Failed", lastTransitionTime="soon"),
        "RFC 3339 stamps",
    ),
    Flaw(DEADLINES, "no startTime", _status("deadline", "overdue", startTime=None), "None and "),
    Flaw(DEADLINES, "pod left running", _left_running("deadline", "overdue-0"), "overdue-0 still ran"),
    Flaw(DEADLINES, "too early untouched", _failed_after(3, "untouched"), "untouched: Failed after 3 s"),
    Flaw(
        DEADLINES,
        "sleeps through it",
        lambda r: r.miss("deadline", "the job untouched: Failed is True"),
        "the job untouched",
    ),
    Flaw(DEADLINES, "time of 0 not kept", _stays, "at-once: Complete, and still there"),
    Flaw(DEADLINES, "removed unfinished with a time of 0", _never_done, "removed before it was Complete"),
    Flaw(DEADLINES, "removed early", _removed_after(1.0), "short-lived: removed 1."),
    Flaw(DEADLINES, "removed late", _removed_after(90.0), "short-lived: removed 90."),
    Flaw(DEADLINES, "told late, removed by the start", _told_late, "short-lived: removed 0."),
    Flaw(DEADLINES, "never removed", _not_removed, "short-lived: Complete, then removed"),
    Flaw(DEADLINES, "removed unfinished", _never_complete, "short-lived: Complete, then removed"),
    Flaw(
        DEADLINES, "timer reset by pokes", lambda r: r.miss("deadline", "overdue: Failed is True"), "overdue"
    ),
    Flaw(DEADLINES, "timer lost", lambda r: r.miss("ttl", "the finished job to be removed"), "to be removed"),
)


@every(DEADLINES_FLAWS)
def test_a_wrong_clock_costs_deadlines(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


@pytest.mark.parametrize(("seconds", "status"), [(48, Status.PASSED), (60, Status.FAILED)])
def test_a_deadline_that_others_held_up_counts_from_the_restart(
    seconds: float, status: Status, tmp_path: Path
) -> None:
    def held_up(r: Recording) -> None:
        _failed_after(seconds)(r)
        created = next(
            mark["t"]
            for mark in r.marks
            if (mark["track"], mark["name"], mark["data"].get("job")) == ("deadline", "create", "overdue")
        )
        back = next(
            each
            for each in r.processes
            if each["event"] == "started" and each["instance"].startswith("operator-") and each["t"] > created
        )
        back["t"] = created + 40

    assert outcomes_of(held_up, tmp_path)[DEADLINES].status is status
