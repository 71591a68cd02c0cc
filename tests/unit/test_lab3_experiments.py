"""Runs of experiments: where they can be stopped, what is written down of them, and what of it is judged."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from graders.chaos.journal import ActionFailed, RunJournal, probe_entry
from graders.chaos.pauses import ABORT_AFTER_S, Deleted, Overdue, Pauses
from graders.chaos.reading import DEVIATED, UPHELD, VOID, experiment_in, outcomes_of
from graders.course import load_course
from graders.drilling import DrillRequest, run_drill
from graders.faults import UsageError
from graders.judging import collect_checks
from graders.judging.check import CheckInfo
from graders.judging.run import outcome_of
from graders.lab3.drills import alone, journal_of
from graders.lab3.handin import manifest_from
from graders.model import Outcome, Status
from graders.paths import REPOSITORY
from graders.progress import Silent
from tests.unit.lab3_recording import Recording, reference

FIVE = ("hypothesis", "injects", "blast-radius", "dry", "abort")


def pauses(timeout_s: float = 60.0, *, abort: bool = False) -> Pauses:
    return Pauses(time.monotonic, timeout_s, abort=abort)


def test_a_pause_ends_when_its_time_is_over() -> None:
    pauses().wait(0.01)


def test_an_experiment_is_aborted_in_the_first_pause_after_it_wrote() -> None:
    waiting = pauses(abort=True)
    waiting.wait(ABORT_AFTER_S)
    assert waiting.aborted is None
    waiting.wrote()
    # Half a second never comes in a pause that is shorter.
    waiting.wait(ABORT_AFTER_S / 5)
    before = time.monotonic()
    with pytest.raises(Deleted):
        waiting.wait(30)
    assert waiting.aborted is not None
    assert waiting.aborted - before >= ABORT_AFTER_S
    assert waiting.deleted


def test_nobody_aborts_what_is_to_run_to_its_end() -> None:
    waiting = pauses()
    waiting.wrote()
    waiting.wait(ABORT_AFTER_S * 1.1)
    assert waiting.aborted is None


def test_deleting_ends_the_pauses_of_all_threads() -> None:
    waiting, ended = pauses(), []

    def wait() -> None:
        try:
            waiting.wait(30)
        except Deleted:
            ended.append(True)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for each in threads:
        each.start()
    waiting.delete()
    for each in threads:
        each.join(10)
    assert ended == [True] * 3


def test_a_deadline_ends_a_pause_and_so_does_the_time_of_a_run() -> None:
    waiting = pauses()
    due = waiting.due(0.05)
    assert waiting.due(10, due) == due
    with pytest.raises(Overdue):
        waiting.wait(30, due)
    assert not waiting.late
    short = pauses(0.05)
    with pytest.raises(Overdue):
        short.wait(30)
    assert short.late


def journal(*, met: tuple[bool, bool, bool] = (True, True, True), fails: bool = False) -> object:
    """The journal of a run with one action, its hypothesis met before, meanwhile and after."""
    written = RunJournal({"kind": "PodChaos"}, "kubeproof/chaosmesh", lambda _: None)
    for when, said in zip(("before", "during", "after"), met, strict=True):
        if when == "during":
            try:
                with written.action("kill", {"kind": "pod-kill"}) as output:
                    output.append("predictor-1")
                    if fails:
                        raise ActionFailed("chaos.yaml:9: no pod matches")
            except ActionFailed:
                assert fails
        entry = probe_entry("steady", {"type": "process"}, written._began, 4, "", said)
        assert written.state(when, [entry]) is said
    read: object = json.loads(written.text("completed"))
    return read


def test_a_journal_reads_as_one_of_chaos_toolkit() -> None:
    whole = journal()
    assert experiment_in(whole) == {"kind": "PodChaos"}
    assert outcomes_of(whole) == {UPHELD}
    kept = json.loads((REPOSITORY / "solutions/lab3/reference/evidence/pod-kill.journal.json").read_text())
    assert isinstance(whole, dict)
    common = (
        "experiment",
        "start",
        "status",
        "deviated",
        "steady_states",
        "run",
        "rollbacks",
        "end",
        "duration",
    )
    assert set(common) <= whole.keys() & kept.keys()
    assert whole["steady_states"].keys() == kept["steady_states"].keys()
    (action,), (theirs,) = whole["run"], kept["run"]
    assert action.keys() == theirs.keys()
    assert {"type", "name", "provider"} <= action["activity"].keys() & theirs["activity"].keys()


@pytest.mark.parametrize(
    ("met", "fails", "outcome"),
    [
        ((True, True, False), False, DEVIATED),
        ((True, False, True), False, DEVIATED),
        ((False, True, True), False, VOID),
        ((True, True, True), True, VOID),
    ],
)
def test_a_journal_says_what_may_be_claimed(met: tuple[bool, bool, bool], fails: bool, outcome: str) -> None:
    assert outcomes_of(journal(met=met, fails=fails)) == {outcome}


def check_named(name: str) -> CheckInfo:
    return next(each for each in collect_checks("lab3") if each.id == name)


def judged(recording: Recording, folder: Path) -> dict[str, Outcome]:
    bundle = recording.held(folder / "bundle")
    return {name: outcome_of(check_named(name), bundle) for name in FIVE}


def mark(recording: Recording, experiment: str, **data: str) -> None:
    """Say something else of whether an experiment could be run."""
    for each in recording.parts["marks"]:
        if each["name"] == "experiment" and each["data"]["id"] == experiment:
            each["data"].update(data)


def test_what_cannot_be_read_costs_all_that_is_asked_of_experiments(tmp_path: Path) -> None:
    recording = reference()
    mark(recording, "cordon", problem="experiments/cordon.yaml:7: unknown field")
    outcomes = judged(recording, tmp_path)
    assert {each.status for each in outcomes.values()} == {Status.FAILED}
    assert "cordon.yaml:7: unknown field" in outcomes["dry"].observed


def test_what_cannot_be_shown_here_costs_nothing_and_does_not_count(tmp_path: Path) -> None:
    recording = reference()
    mark(recording, "cordon", unsupported="experiments/cordon.yaml:2: NetworkChaos needs a daemon")
    outcomes = judged(recording, tmp_path)
    assert outcomes["injects"].status is Status.FAILED
    assert "none changes what has to be undone" in outcomes["injects"].observed
    assert {outcomes[name].status for name in FIVE if name != "injects"} == {Status.PASSED}


def test_experiments_of_which_none_can_be_shown_are_not_passed(tmp_path: Path) -> None:
    recording = reference()
    for name in ("cordon", "pod-kill"):
        mark(recording, name, unsupported=f"experiments/{name}.yaml:2: NetworkChaos needs a daemon")
    assert {each.status for each in judged(recording, tmp_path).values()} == {Status.FAILED}


def test_a_drill_of_an_experiment_gives_its_journal(tmp_path: Path) -> None:
    bundle = reference().held(tmp_path / "bundle")
    found = journal_of(bundle, "cordon")
    assert experiment_in(found)["title"].startswith("A node without room")
    assert outcomes_of(found) == {UPHELD}
    with pytest.raises(UsageError, match="shows no run of another"):
        journal_of(bundle, "another")


def test_a_drill_has_one_experiment_alone(tmp_path: Path) -> None:
    manifest = manifest_from(reference().held(tmp_path / "bundle").manifest.block)
    assert [each.id for each in alone(manifest, "cordon").chaos.experiments] == ["cordon"]
    with pytest.raises(UsageError, match="names no experiment 'another'"):
        alone(manifest, "another")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "give --scenario or --experiment"),
        ({"scenario": "pod-kill", "experiment": "pod-kill"}, "give --scenario or --experiment"),
        ({"scenario": "another"}, "no scenario 'another'"),
    ],
)
def test_a_drill_is_of_one_thing(tmp_path: Path, asked: dict[str, str], says: str) -> None:
    request = DrillRequest(load_course().find_lab("lab3"), tmp_path, tmp_path / "out.json", **asked)
    with pytest.raises(UsageError, match=says):
        run_drill(request, Silent())
