"""What fail-closed demands where what judges was killed: denials meanwhile and after, and soon good again."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from graders.model import Fault
from tests.unit.lab2_recording import Recording, reference
from tests.unit.test_lab2_checks import judged

TRACK = "fail-closed"
UNREACHED = 'failed calling webhook "vpol.validate.kyverno.svc-fail": connection refused'


def killed(*, admits_after_s: float | None = 2.0) -> Recording:
    """The recorded run, as if what judges prod had been killed, instead of parameters taken away."""
    run = reference()
    taken, tried = run.mark(TRACK, "taken-away"), run.mark(TRACK, "tried")
    run["marks"].remove(taken)
    run["marks"].remove(tried)
    times = {"killed": taken["t"], "tried-killed": tried["t"], "started": tried["t"] + 0.01}
    if admits_after_s is not None:
        times["admitted"] = times["started"] + admits_after_s
    times["tried-again"] = max(times.values()) + 0.01
    for name, t in times.items():
        run["marks"].append({"t": t, "track": TRACK, "name": name, "data": {}})
    for mark in run["marks"]:
        if mark["track"] == TRACK and mark["name"] == "end":
            mark["t"] = max(mark["t"], times["tried-again"] + 0.01)
    run["marks"].sort(key=lambda mark: mark["t"])
    for each in [each for each in run["asked"] if each["case"].startswith("closed/")]:
        again = copy.deepcopy(each)
        again["t"], again["case"] = (
            times["tried-again"] - 0.005,
            each["case"].replace("closed/", "closed-after/"),
        )
        run["asked"].append(again)
        each["code"], each["message"] = 500, UNREACHED
    return run


def answered(run: Recording, case: str, code: int, message: str = "") -> None:
    (found,) = (each for each in run["asked"] if each["case"] == case)
    found["code"], found["message"] = code, message


def seen(run: Recording, folder: Path) -> tuple[str, str, Fault | None]:
    outcome = judged(run, folder)["fail-closed"]
    return outcome.status.value, f"{outcome.expected}\n{outcome.observed}", outcome.fault


def test_denials_because_nobody_answers_count(tmp_path: Path) -> None:
    assert seen(killed(), tmp_path)[0] == "passed"


def test_another_error_of_the_api_server_is_no_denial(tmp_path: Path) -> None:
    run = killed()
    answered(run, "closed/r4-node-port", 500, "etcdserver: request timed out")
    status, said, _ = seen(run, tmp_path)
    assert status == "failed"
    assert "r4-node-port (R4) denied while what judges is dead" in said


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("closed/r4-node-port", "r4-node-port (R4) denied while what judges is dead"),
        ("closed-after/unsigned", "unsigned (signature) denied after the start"),
    ],
)
def test_what_is_let_in_is_told_with_when(case: str, says: str, tmp_path: Path) -> None:
    run = killed()
    answered(run, case, 201)
    status, said, fault = seen(run, tmp_path)
    assert (status, fault) == ("failed", Fault.LEARNER)
    assert says in said


@pytest.mark.parametrize(("after_s", "says"), [(None, "it never was"), (500.0, "it took 500.0 s")])
def test_good_ones_are_admitted_soon_after_it(after_s: float | None, says: str, tmp_path: Path) -> None:
    status, said, _ = seen(killed(admits_after_s=after_s), tmp_path)
    assert status == "failed"
    assert "a good pod admitted within" in said
    assert says in said
