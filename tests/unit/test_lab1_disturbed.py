"""Conflicts, old news, lost news and news told twice: each flaw in the record costs exactly its check."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from graders.lab1.names import FOREIGN_CONDITION, FOREIGN_FINALIZER, FOREIGN_LABEL
from graders.model import Fault, Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Record, Recording, condition

CONFLICTS, STALE, NEW_UID, REPLAY, MISSED = (
    "conflicts",
    "stale-cache",
    "new-uid",
    "replay",
    "missed-events",
)


def _metadata(field: str, value: object) -> Mutation:
    return lambda r: r.last(CONFLICTS, "contested")["metadata"].update({field: value})


def _condition(**fields: object) -> Mutation:
    return lambda r: condition(r.last(CONFLICTS, "contested"), FOREIGN_CONDITION).update(fields)


def _conditions(value: object) -> Mutation:
    return lambda r: r.last(CONFLICTS, "contested")["status"].update(conditions=value)


def _never_met(r: Recording) -> None:
    r.mark(CONFLICTS, "contested", 2)["data"]["applied"] = 0


def _pod_again(r: Recording, track: str, pod: str, t: float, uid: str = "uid-of-one-more") -> None:
    """The last pod of that name has a twin of another uid, seen once and never gone."""
    twin = copy.deepcopy([each for each in r.seen(track, "pods", pod) if each["type"] != "DELETED"][-1])
    twin["t"], twin["type"] = t, "ADDED"
    twin["object"]["metadata"]["uid"] = uid
    twin["object"]["metadata"].pop("deletionTimestamp", None)
    r.objects.append(twin)


def _gone(r: Recording, track: str, pod: str) -> None:
    """The last pod of that name is deleted just before the end."""
    last: Record = copy.deepcopy(r.seen(track, "pods", pod)[-1])
    r.objects.append({**last, "t": r.mark(track, "end")["t"] - 0.01, "type": "DELETED"})


def _one_more_at_once(r: Recording) -> None:
    _pod_again(r, STALE, "behind-2", r.mark(STALE, "end")["t"] - 0.01)


def _new_pod_lost(r: Recording) -> None:
    _gone(r, NEW_UID, "phoenix-1")


def _owned_by_the_old(r: Recording) -> None:
    """One pod of the new job names another controller."""
    uid = r.seen(NEW_UID, "pods", "phoenix-1")[-1]["object"]["metadata"]["uid"]
    for pod in r.pods(NEW_UID, "phoenix-1"):
        if pod["metadata"]["uid"] == uid:
            pod["metadata"]["ownerReferences"][0]["uid"] = "uid-of-the-old"


def _third_pod(r: Recording) -> None:
    _pod_again(r, NEW_UID, "phoenix-1", r.mark(NEW_UID, "end")["t"] - 0.01)


def _unreplaced(r: Recording) -> None:
    """The failed pod's successor was never there."""
    gone = r.mark(MISSED, "vanished")["data"]
    for sighting in r.seen(MISSED, "pods", gone["pod"]):
        if sighting["object"]["metadata"]["uid"] != gone["uid"]:
            r.remove("objects", sighting)


def _twice(r: Recording) -> None:
    _pod_again(r, MISSED, r.mark(MISSED, "vanished")["data"]["pod"], r.mark(MISSED, "end")["t"] - 0.01)


def _wrote(since: float, **more: Any) -> Mutation:
    def mutate(r: Recording) -> None:
        r.write(REPLAY, "patch", "services", "runs", **more)["t"] = r.mark(REPLAY, "replayed")["t"] + since

    return mutate


FLAWS = (
    Flaw(CONFLICTS, "label lost", _metadata("labels", None), f"label {FOREIGN_LABEL}"),
    Flaw(CONFLICTS, "label changed", _metadata("labels", {FOREIGN_LABEL: "no"}), "no"),
    Flaw(
        CONFLICTS,
        "finalizers wiped",
        _metadata("finalizers", None),
        f"finalizer {FOREIGN_FINALIZER}",
    ),
    Flaw(CONFLICTS, "finalizer replaced", _metadata("finalizers", ["own/one"]), "finalizers: own/one"),
    Flaw(
        CONFLICTS,
        "condition gone",
        _condition(type="Other"),
        f"status condition {FOREIGN_CONDITION}",
    ),
    Flaw(CONFLICTS, "condition rewritten", _condition(reason="Mine"), "conditions: "),
    Flaw(
        CONFLICTS,
        "conditions in words",
        _conditions("all"),
        f"status condition {FOREIGN_CONDITION}",
    ),
    Flaw(CONFLICTS, "conditions of anything", _conditions([None, 7, {"type": []}]), FOREIGN_CONDITION),
    Flaw(CONFLICTS, "never writes the job", _never_met, "no update or patch of the job at all"),
    Flaw(STALE, "created twice", lambda r: r.again(r.creates(STALE, "behind-0")[-1]), "behind-0 x3"),
    Flaw(STALE, "deleted the wrong one", lambda r: _gone(r, STALE, "behind-2"), "behind-2 x1"),
    Flaw(STALE, "counted twice", lambda r: r.last(STALE, "behind")["status"].update(restarts=2), "restarts:"),
    Flaw(
        STALE, "counts in a list", lambda r: r.last(STALE, "behind")["status"].update(restarts=[{}]), "[{}]"
    ),
    Flaw(STALE, "one pod too many", _one_more_at_once, "4 pods at once"),
    Flaw(NEW_UID, "a new pod deleted", _new_pod_lost, "gone: phoenix-1"),
    Flaw(NEW_UID, "owned by the old job", _owned_by_the_old, "owned by another: phoenix-1"),
    Flaw(NEW_UID, "a pod too many", _third_pod, "pods created for the new job: 4"),
    Flaw(REPLAY, "writes", _wrote(0.5), "patch services runs (200) x1"),
    Flaw(REPLAY, "writes that are refused", _wrote(0.5, code=409), "patch services runs (409) x1"),
    Flaw(MISSED, "not replaced", _unreplaced, "unheard-1: 0"),
    Flaw(MISSED, "replaced twice", _twice, "unheard-1: 2"),
)


@every(FLAWS)
def test_what_a_disturbance_changes_costs_its_check(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


FINE: dict[str, tuple[str, Mutation]] = {
    "a write before the replay": (REPLAY, _wrote(-0.05)),
    "a Lease": (REPLAY, lambda r: _elsewhere(r, "leases")),
    "an Event": (REPLAY, lambda r: _elsewhere(r, "events")),
    "a write of the control plane": (REPLAY, _wrote(0.5, user="system:kube-controller-manager")),
    "more labels": (CONFLICTS, _metadata("labels", {FOREIGN_LABEL: "yes", "own": "one"})),
    "more finalizers": (CONFLICTS, _metadata("finalizers", ["own/one", FOREIGN_FINALIZER])),
    "a missed failure that is counted": (
        MISSED,
        lambda r: [state["status"].update(restarts=1) for state in r.jobs(MISSED, "unheard")[-2:]],
    ),
    "an equal restart count": (STALE, lambda r: r.last(STALE, "behind")["status"].update(own="field")),
}


def _elsewhere(r: Recording, resource: str) -> None:
    t = r.mark(REPLAY, "replayed")["t"] + 0.5
    r.write(REPLAY, "patch", resource, "runs")["t"] = t


@pytest.mark.parametrize(("check", "mutate"), FINE.values(), ids=FINE)
def test_what_is_allowed_costs_nothing(check: str, mutate: Mutation, tmp_path: Path) -> None:
    assert outcomes_of(mutate, tmp_path)[check].status is Status.PASSED


@pytest.mark.parametrize(("check", "mark"), [(REPLAY, "expired"), (MISSED, "vanished"), (NEW_UID, "new")])
def test_a_record_without_the_disturbance_is_no_learners_fault(check: str, mark: str, tmp_path: Path) -> None:
    outcome = outcomes_of(lambda r: r.remove("marks", r.mark(check, mark)), tmp_path)[check]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.INFRASTRUCTURE)


def test_a_replay_of_nothing_shows_nothing(tmp_path: Path) -> None:
    def silent(r: Recording) -> None:
        r.mark(REPLAY, "replayed")["data"].update(frames=0, watches=2)

    outcome = outcomes_of(silent, tmp_path)[REPLAY]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.INFRASTRUCTURE)


def test_who_never_watches_hears_nothing_twice(tmp_path: Path) -> None:
    def polls(r: Recording) -> None:
        r.mark(REPLAY, "replayed")["data"].update(frames=0, watches=0)

    assert outcomes_of(polls, tmp_path)[REPLAY].status is Status.PASSED
