"""Crash points: an ending unlike the undisturbed one costs exactly this check, and names the write."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from graders.model import Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Record, Recording

TRACK = "crash-points"
PART = "swallowed-3"
WHERE = "killed after write 3, its answer lost: "


def _told(r: Recording, part: str = PART) -> Record:
    found: Record
    (found,) = [
        mark["data"] for mark in r.marks
        if (mark["track"], mark["name"]) == (TRACK, "told") and mark["data"]["part"] == part
    ]  # fmt: skip
    return found


def _outcome(**fields: object) -> Mutation:
    return lambda r: _told(r)["outcome"].update(fields)


def _created_again(r: Recording) -> None:
    space = r.namespace(TRACK, PART)
    event = next(
        e for e in r.audit
        if (e["verb"], e["resource"], e["namespace"]) == ("create", "pods", space) and e["code"] == 201
    )  # fmt: skip
    r.again(event)


def _orphan(r: Recording) -> None:
    last = r.seen(TRACK, "pods", "mortal-1", PART)[-1]["object"]["metadata"]
    last["ownerReferences"][0]["uid"] = "uid-of-nobody"


def _relabelled(r: Recording) -> None:
    r.seen(TRACK, "pods", "mortal-1", PART)[-1]["object"]["metadata"]["labels"] = None


def _pod_gone(r: Recording) -> None:
    last = copy.deepcopy(r.seen(TRACK, "pods", "mortal-1", PART)[-1])
    r.objects.append({**last, "t": r.mark(TRACK, "end")["t"], "type": "DELETED"})


def _no_service(r: Recording) -> None:
    last = copy.deepcopy(r.seen(TRACK, "services", "mortal", PART)[-1])
    r.objects.append({**last, "t": r.mark(TRACK, "end")["t"], "type": "DELETED"})


def _never_reached(r: Recording) -> None:
    for mark in r.marks:
        if (mark["track"], mark["name"]) == (TRACK, "crash-point"):
            mark["data"]["reached"] = False


FLAWS = (
    Flaw(TRACK, "counted twice", _outcome(restarts=2), f"{WHERE}status"),
    Flaw(TRACK, "never done", _outcome(Complete=False), "Complete False"),
    Flaw(TRACK, "a count of no sense", _outcome(restarts=[{"a": None}]), "restarts [{'a': None}]"),
    Flaw(TRACK, "created twice", _created_again, f"{WHERE}creates"),
    Flaw(TRACK, "pod of nobody", _orphan, "mortal-1 Succeeded without its owner"),
    Flaw(TRACK, "labels lost", _relabelled, "mortal-1 Succeeded of /"),
    Flaw(TRACK, "pod lost", _pod_gone, f"{WHERE}pods"),
    Flaw(TRACK, "Service lost", _no_service, f"{WHERE}Services"),
    Flaw(TRACK, "no write at all", _never_reached, "it never came so far"),
)


@every(FLAWS)
def test_another_ending_costs_crash_points(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_the_next_step_shows_how_to_see_one_crash_point_alone(tmp_path: Path) -> None:
    hint = outcomes_of(_outcome(restarts=2), tmp_path)[TRACK].hint
    assert "--only crash-points --at 3 --keep" in hint


@pytest.mark.parametrize("part", ["answered-3", "swallowed-3"])
def test_a_point_that_was_not_reached_is_said_to_be(part: str, tmp_path: Path) -> None:
    def mutate(r: Recording) -> None:
        for mark in r.marks:
            if mark["name"] == "crash-point" and mark["data"]["part"] == part:
                mark["data"]["reached"] = False
        _told(r, part)["outcome"]["restarts"] = 2

    outcome = outcomes_of(mutate, tmp_path)[TRACK]
    assert outcome.status is Status.FAILED
    assert "killed before write 3 came: status" in f"{outcome.expected} {outcome.observed}"
