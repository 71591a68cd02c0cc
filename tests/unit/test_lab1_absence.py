"""What happened while nobody ran is put right, and deletion leaves the finalizers of others alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.faults import Unmet
from graders.lab1.checks.absence import check_downtime, check_finalizers
from graders.lab1.outcome import outcome
from tests.unit.lab1_telling import JOBS, Telling, job, pod

RUNNING = [{"type": "Running", "status": "True"}]
HOLD = "example.org/hold"

# --- downtime --------------------------------------------------------------------------------------


def settled(nodes: int = 2, **status: Any) -> dict[str, Any]:
    counts = {"active": nodes, "ready": nodes}
    return {
        "observedGeneration": 1,
        "restarts": 0,
        "replicaStatuses": counts,
        "conditions": RUNNING,
        **status,
    }


def absent(pods: int = 2, phase: str = "Running", **status: Any) -> Telling:
    """A pod failed while the operator was down: of the twin it was counted, and the twin runs again."""
    telling = Telling("downtime")
    twin = job("fail-seen", **settled(restarts=1))
    names = {"seen": "fail-seen", "missed": "fail-missed"}
    telling.mark(5.0, "case", kind="fail", jobs=names, nodes=2, outcome=outcome(twin))
    telling.mark(6.0, "down", namespace="here")
    telling.mark(7.0, "up", namespace="here")
    telling.see(2.0, JOBS, twin, kind="ADDED")
    missed = job("fail-missed", **settled(restarts=1, **status))
    telling.see(9.0, JOBS, missed, kind="ADDED")
    for index in range(pods):
        telling.see(9.0, "pods", pod(missed, index, phase=phase), kind="ADDED")
    telling.mark(12.0, "end", namespace="here")
    return telling


def test_a_job_that_was_caught_up_with_is_as_its_twin(tmp_path: Path) -> None:
    facts = absent().judge(check_downtime, tmp_path)
    assert dict(facts) == {"down_s": 1.0, "kinds_of_news": 1}


@pytest.mark.parametrize(
    ("telling", "says"),
    [
        (absent(pods=1), "fail-missed: running pods 1"),
        (absent(phase="Failed"), "fail-missed: running pods 0"),
        (absent(conditions=[]), "'Running': False"),
        (absent(conditions="none"), "'Running': False"),
        (absent(replicaStatuses={"active": 1}), "'active': 1"),
        (absent(replicaStatuses="two"), "'active': 0"),
        (absent(observedGeneration=None), "'observedGeneration': None"),
    ],
)
def test_what_is_not_put_right_is_a_loss(telling: Telling, says: str, tmp_path: Path) -> None:
    with pytest.raises(Unmet) as caught:
        telling.judge(check_downtime, tmp_path)
    assert says in caught.value.observed


def test_a_failure_that_nobody_counted_is_a_loss(tmp_path: Path) -> None:
    telling = absent()
    telling.see(10.0, JOBS, job("fail-missed", **settled(restarts=0)))
    with pytest.raises(Unmet, match="'restarts': 0"):
        telling.judge(check_downtime, tmp_path)


def test_a_twin_that_had_more_to_say_later_is_the_measure_too(tmp_path: Path) -> None:
    telling = absent()
    later = settled(restarts=1, observedGeneration=2)
    for name in ("fail-seen", "fail-missed"):
        telling.see(11.0, JOBS, job(name, **later))
    telling.judge(check_downtime, tmp_path)


def test_a_job_that_vanished_is_a_loss(tmp_path: Path) -> None:
    telling = absent()
    telling.see(11.0, JOBS, job("fail-missed"), kind="DELETED")
    with pytest.raises(Unmet, match="fail-missed is gone"):
        telling.judge(check_downtime, tmp_path)


def test_what_the_track_waited_for_starved_is_quoted(tmp_path: Path) -> None:
    telling = absent()
    telling.mark(11.0, "missed", waiting_for="fail-missed to be as it should", within_s=10.0, seen="1 pod")
    with pytest.raises(Unmet, match="1 pod"):
        telling.judge(check_downtime, tmp_path)


# --- finalizers ------------------------------------------------------------------------------------

DELETED, RELEASED = 10.0, 15.0
Change = Callable[[Telling], object]


def held(own: str = "") -> Telling:
    """Two jobs are deleted at 10 s, let go at 15 s and gone at once; `own` is a finalizer of the operator.

    A third has only that one and is gone at 7 s, after two failures.
    """
    telling = Telling("finalizers", own="there")
    see(telling, 1.1, "troubled", [own] if own else [], kind="ADDED", space="there")
    see(telling, 5.0, "troubled", [own] if own else [], deleted=True, space="there")
    see(telling, 7.0, "troubled", [], deleted=True, kind="DELETED", space="there")
    telling.mark(7.1, "troubled", job="troubled", failures=2 if own else 0, held=bool(own))
    for name in ("watched", "unwatched"):
        telling.mark(1.0, "held", job=name, finalizer=HOLD)
        telling.mark(RELEASED, "release", namespace="here", job=name)
        telling.write(2.0, "create", "pods", f"{name}-0", code=201)
        see(telling, 1.1, name, [HOLD], kind="ADDED")
        if own:
            see(telling, 1.5, name, [HOLD, own])
            see(telling, DELETED, name, [HOLD, own], deleted=True)
        see(telling, DELETED + 0.1, name, [HOLD], deleted=True)
        see(telling, RELEASED + 0.1, name, [], deleted=True, kind="DELETED")
    telling.mark(16.0, "end", namespace="here")
    return telling


def see(
    telling: Telling,
    t: float,
    name: str,
    finalizers: object,
    *,
    deleted: bool = False,
    kind: str = "MODIFIED",
    space: str = "here",
) -> None:
    state = job(name, space)
    state["metadata"]["finalizers"] = finalizers
    if deleted:
        state["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:10Z"
    telling.see(t, JOBS, state, kind=kind)


@pytest.mark.parametrize("own", ["", "training.mod201.dev/cleanup"])
def test_an_operator_with_or_without_a_finalizer_of_its_own_lets_the_job_go(own: str, tmp_path: Path) -> None:
    facts = held(own).judge(check_finalizers, tmp_path)
    assert facts["unwatched_gone_after_s"] == pytest.approx(0.1)
    assert facts["cleanups_that_failed"] == (2 if own else 0)


def test_a_cleanup_that_is_given_up_is_a_loss(tmp_path: Path) -> None:
    telling = held("training.mod201.dev/cleanup")
    telling.told = [each for each in telling.told if getattr(each, "name", "") != "troubled"]
    telling.mark(15.0, "missed", waiting_for="the deleted job troubled to go", within_s=10.0, seen="held")
    with pytest.raises(Unmet, match="the deleted job troubled to go"):
        telling.judge(check_finalizers, tmp_path)


def test_a_pod_that_comes_back_while_the_cleanup_fails_is_a_loss(tmp_path: Path) -> None:
    telling = held("training.mod201.dev/cleanup")
    telling.write(6.5, "create", "pods", "troubled-0", code=201, namespace="there")
    with pytest.raises(Unmet, match="created troubled-0"):
        telling.judge(check_finalizers, tmp_path)


@pytest.mark.parametrize("name", ["watched", "unwatched"])
@pytest.mark.parametrize("left", [[], ["training.mod201.dev/cleanup"], None])
def test_a_list_without_the_other_s_finalizer_is_a_loss(name: str, left: object, tmp_path: Path) -> None:
    telling = held()
    see(telling, 12.0, name, left, deleted=True)
    with pytest.raises(Unmet) as caught:
        telling.judge(check_finalizers, tmp_path)
    assert caught.value.observed == "it was taken off the list 3.0 s before its owner did so"
    assert name in caught.value.expected


def test_a_job_that_goes_before_it_was_let_go_is_a_loss(tmp_path: Path) -> None:
    telling = held()
    telling.told = [each for each in telling.told if getattr(each, "type", "") != "DELETED"]
    for name in ("watched", "unwatched"):
        see(telling, 13.0, name, [HOLD], deleted=True, kind="DELETED")
    with pytest.raises(Unmet, match=r"2\.0 s before"):
        telling.judge(check_finalizers, tmp_path)


def test_a_job_that_stays_is_a_loss(tmp_path: Path) -> None:
    telling = held()
    telling.told = [each for each in telling.told if getattr(each, "type", "") != "DELETED"]
    with pytest.raises(Unmet, match="watched is still there"):
        telling.judge(check_finalizers, tmp_path)


@pytest.mark.parametrize("name", ["watched", "unwatched"])
def test_a_pod_created_for_a_deleted_job_is_a_loss(name: str, tmp_path: Path) -> None:
    telling = held()
    telling.write(DELETED + 1.2, "create", "pods", f"{name}-1", code=201)
    with pytest.raises(Unmet, match=f"created {name}-1"):
        telling.judge(check_finalizers, tmp_path)


@pytest.mark.parametrize("how", [{"t": DELETED + 0.9, "code": 201}, {"t": DELETED + 3, "code": 403}])
def test_a_create_that_was_under_way_or_was_refused_is_none(how: dict[str, Any], tmp_path: Path) -> None:
    telling = held()
    telling.write(verb="create", resource="pods", name="watched-1", **how)
    telling.judge(check_finalizers, tmp_path)
