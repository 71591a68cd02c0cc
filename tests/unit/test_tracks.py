"""Tracks side by side, the one restart they share and how slow a machine is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.polling import NotYet, wait_for
from graders.progress import Silent, Task
from graders.scenario import calibration, pace
from graders.scenario.calibration import calibrate
from graders.scenario.tracks import Missed, RestartGate, Track, run_tracks
from tests.unit.synthetic_bundle import make_manifest
from tests.unit.tiny_api import TinyApi

Act = Callable[["Gate"], None]


class Gate(RestartGate):
    """A gate that serves as its own stage."""

    def attend(self, task: Task) -> None:
        """Nobody listens."""


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(BundleWriter(tmp_path / "bundle"))
    yield recording
    recording.writer.close(make_manifest())


class Log:
    """What happened, in order; safe from any thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        with self._lock:
            self.lines.append(text)

    def index(self, text: str) -> int:
        return self.lines.index(text)


def run(
    recording: Recording,
    acts: dict[str, Act],
    members: set[str] = frozenset(),  # type: ignore[assignment]
    restart: Callable[[], None] = lambda: None,
) -> dict[str, TrackResult]:
    """Run acts as tracks; `members` join the restart."""
    gate = Gate(members, acts.keys() - members, restart)
    tracks = [Track(name, act, f"track {name}", at_barrier=name in members) for name, act in acts.items()]
    return run_tracks(tracks, dict.fromkeys(acts, gate), gate, recording, Silent())


def statuses(results: dict[str, TrackResult]) -> dict[str, str]:
    return {name: result.status for name, result in results.items()}


def _raise(error: BaseException) -> Act:
    def act(_: RestartGate) -> None:
        raise error

    return act


# --- tracks ----------------------------------------------------------------------------------------


def test_tracks_run_at_the_same_time(recording: Recording) -> None:
    meeting = threading.Barrier(3, timeout=30)

    def meet(_: RestartGate) -> None:
        meeting.wait()

    results = run(recording, dict.fromkeys("abc", meet))
    assert statuses(results) == dict.fromkeys("abc", "done")


def test_a_hand_in_that_cannot_be_graded_is_told_when_all_have_ended(recording: Recording) -> None:
    log = Log()
    bad = BadSubmission("makes 101 of them", file="hub", fix="make fewer")
    acts: dict[str, Act] = {"a": _raise(bad), "b": lambda _: log("b")}
    with pytest.raises(BadSubmission, match="makes 101 of them"):
        run(recording, acts)
    assert log.lines == ["b"]


def test_each_track_but_the_first_begins_when_it_may(recording: Recording) -> None:
    log = Log()
    acts: dict[str, Act] = {name: lambda _, name=name: log(name) for name in "abc"}  # type: ignore[misc]
    gate = Gate(set(), set(acts), lambda: None)
    tracks = [Track(name, act, name) for name, act in acts.items()]

    def turn() -> None:
        begun = len([line for line in log.lines if line == "turn"]) + 1
        wait_for(lambda: _begun(log, begun), timeout_s=30)
        log("turn")

    run_tracks(tracks, dict.fromkeys(acts, gate), gate, recording, Silent(), turn)
    assert log.lines == ["a", "turn", "b", "turn", "c"]


def _begun(log: Log, count: int) -> None:
    if len([line for line in log.lines if line != "turn"]) < count:
        raise NotYet


class Answers:
    """An API server that takes so long, one read after another."""

    def __init__(self, *took_s: float) -> None:
        self.left = list(took_s)

    def read_s(self) -> float:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def test_an_api_server_that_keeps_up_gets_the_next_track(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_S", 60.0)
    monkeypatch.setattr(pace, "GAP_S", 0.0)
    answers = Answers(2.0, 0.4, 0.1, 0.005)
    pace.wait_turn(answers)
    assert answers.left == [0.005]


def test_one_that_never_keeps_up_gets_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LONGEST_S", 0.05)
    monkeypatch.setattr(pace, "GAP_S", 0.01)
    pace.wait_turn(Answers(2.0))


def test_a_track_that_missed_something_is_done(recording: Recording) -> None:
    results = run(recording, {"a": _raise(Missed("four pods: three"))})
    assert (results["a"].status, results["a"].problem) == ("done", "")


def test_a_fault_of_the_machine_fails_its_track_and_no_other(recording: Recording) -> None:
    results = run(recording, {"a": _raise(InfraFault("the disk is full")), "b": lambda _: None})
    assert statuses(results) == {"a": "failed", "b": "done"}
    assert results["a"].problem == "the disk is full"


def test_a_bug_of_ours_breaks_its_track_and_no_other(recording: Recording) -> None:
    results = run(recording, {"a": _raise(KeyError("uid")), "b": lambda _: None})
    assert statuses(results) == {"a": "broken", "b": "done"}
    assert "KeyError: 'uid'" in results["a"].problem
    assert "Traceback" in results["a"].problem


def test_a_result_tells_when_its_track_ran(recording: Recording) -> None:
    before = recording.clock.now()
    result = run(recording, {"a": lambda _: None})["a"]
    assert before <= result.started <= result.ended <= recording.clock.now()


def test_no_tracks_are_no_trouble(recording: Recording) -> None:
    assert run(recording, {}) == {}


def test_what_a_track_is_about_is_shown(recording: Recording) -> None:
    progress = Silent()
    gate = Gate((), ("a",), lambda: None)
    track: Track[RestartGate] = Track("a", lambda _: None, "four nodes, two, four")
    run_tracks([track], {"a": gate}, gate, recording, progress)
    assert progress.said == ["four nodes, two, four"]


# --- the restart -----------------------------------------------------------------------------------


def test_the_restart_waits_until_all_others_are_over_and_all_members_are_there(recording: Recording) -> None:
    log = Log()
    late = threading.Event()

    def other(_: RestartGate) -> None:
        late.wait(30)
        log("other over")

    def member(name: str, first: bool) -> Act:
        def act(gate: Gate) -> None:
            if first:
                late.set()
            log(f"{name} arrives")
            gate.pass_through(name)
            log(f"{name} goes on")

        return act

    acts = {"other": other, "one": member("one", True), "two": member("two", False)}
    results = run(recording, acts, {"one", "two"}, lambda: log("restart"))
    assert set(statuses(results).values()) == {"done"}
    at = log.index("restart")
    assert {"other over", "one arrives", "two arrives"} == set(log.lines[:at])
    assert {"one goes on", "two goes on"} == set(log.lines[at + 1 :])
    assert log.lines.count("restart") == 1


def test_what_the_others_left_is_cleared_when_they_are_over_and_before_anybody_prepares(
    recording: Recording,
) -> None:
    log = Log()
    acts: dict[str, Act] = {
        "other": lambda _: log("over"),
        "member": lambda gate: gate.pass_through("member", before=lambda: log("before")),
    }
    gate = Gate({"member"}, {"other"}, lambda: log("restart"), lambda: log("clear"))
    tracks = [Track(name, act, name) for name, act in acts.items()]
    run_tracks(tracks, dict.fromkeys(acts, gate), gate, recording, Silent())
    assert log.lines == ["over", "clear", "before", "restart"]


def test_all_prepare_before_the_restart_and_all_look_before_anybody_goes_on(recording: Recording) -> None:
    log = Log()

    def member(name: str) -> Act:
        def act(gate: Gate) -> None:
            gate.pass_through(name, before=lambda: log("before"), after=lambda: log("after"))
            log("on")

        return act

    run(recording, {name: member(name) for name in "abc"}, set("abc"), lambda: log("restart"))
    assert log.lines == [*["before"] * 3, "restart", *["after"] * 3, *["on"] * 3]


def test_members_prepare_side_by_side(recording: Recording) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def member(name: str) -> Act:
        def meet() -> None:
            meeting.wait()

        return lambda gate: gate.pass_through(name, before=meet)

    assert statuses(run(recording, {"a": member("a"), "b": member("b")}, {"a", "b"})) == {
        "a": "done",
        "b": "done",
    }


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_member_whose_step_goes_wrong_is_alone_with_it(step: str, recording: Recording) -> None:
    log = Log()

    def unlucky() -> None:
        raise InfraFault("the page cannot be read")

    def bad(gate: Gate) -> None:
        gate.pass_through("bad", **{step: unlucky})

    def good(gate: Gate) -> None:
        gate.pass_through("good", before=lambda: log("before"), after=lambda: log("after"))

    results = run(recording, {"bad": bad, "good": good}, {"bad", "good"}, lambda: log("restart"))
    assert statuses(results) == {"bad": "failed", "good": "done"}
    assert log.lines == ["before", "restart", "after"]


def test_who_missed_something_while_preparing_does_not_look_afterwards(recording: Recording) -> None:
    log = Log()

    def act(gate: Gate) -> None:
        def missed() -> None:
            raise Missed("two pods: none")

        gate.pass_through("a", before=missed, after=lambda: log("after"))
        log("on")

    assert run(recording, {"a": act}, {"a"}, lambda: log("restart"))["a"].status == "done"
    assert log.lines == ["restart"]


def test_a_restart_that_fails_fails_every_member(recording: Recording) -> None:
    log = Log()

    def restart() -> None:
        raise InfraFault("the operator could not be started again")

    def member(name: str) -> Act:
        return lambda gate: gate.pass_through(name, after=lambda: log("after"))

    acts: dict[str, Act] = {"a": member("a"), "b": member("b"), "other": lambda _: None}
    results = run(recording, acts, {"a", "b"}, restart)
    assert statuses(results) == {"a": "failed", "b": "failed", "other": "done"}
    assert log.lines == []


# A restart that lets the members act while nobody runs, as the scenario's does.


def run_with_downtime(recording: Recording, acts: dict[str, Act], log: Log) -> dict[str, TrackResult]:
    def restart() -> None:
        log("down")
        gate.while_down()
        log("up")

    gate = Gate(acts.keys(), (), restart)
    tracks = [Track(name, act, f"track {name}", at_barrier=True) for name, act in acts.items()]
    return run_tracks(tracks, dict.fromkeys(acts, gate), gate, recording, Silent())


def test_members_act_between_the_end_of_one_process_and_the_start_of_the_next(recording: Recording) -> None:
    log = Log()

    def act(gate: Gate) -> None:
        gate.pass_through(
            "a", before=lambda: log("before"), during=lambda: log("during"), after=lambda: log("after")
        )

    run_with_downtime(recording, {"a": act, "b": lambda gate: gate.pass_through("b")}, log)
    assert log.lines == ["before", "down", "during", "up", "after"]


def test_members_act_side_by_side_while_nobody_runs(recording: Recording) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def member(name: str) -> Act:
        def meet() -> None:
            meeting.wait()

        return lambda gate: gate.pass_through(name, during=meet)

    results = run_with_downtime(recording, {name: member(name) for name in "ab"}, Log())
    assert statuses(results) == {"a": "done", "b": "done"}


def test_a_member_whose_act_while_nobody_runs_goes_wrong_is_alone_with_it(recording: Recording) -> None:
    log = Log()

    def unlucky() -> None:
        raise InfraFault("the pod is still running")

    acts: dict[str, Act] = {
        "bad": lambda gate: gate.pass_through("bad", during=unlucky, after=lambda: log("bad after")),
        "good": lambda gate: gate.pass_through("good", after=lambda: log("good after")),
    }
    results = run_with_downtime(recording, acts, log)
    assert statuses(results) == {"bad": "failed", "good": "done"}
    assert results["bad"].problem == "the pod is still running"
    assert log.lines == ["down", "up", "good after"]


def test_who_could_not_prepare_does_not_act_while_nobody_runs(recording: Recording) -> None:
    log = Log()

    def missed() -> None:
        raise Missed("two pods: none")

    acts: dict[str, Act] = {
        "a": lambda gate: gate.pass_through("a", before=missed, during=lambda: log("during"))
    }
    assert statuses(run_with_downtime(recording, acts, log)) == {"a": "done"}
    assert log.lines == ["down", "up"]


def test_a_member_that_ends_early_holds_nobody_up(recording: Recording) -> None:
    log = Log()
    acts: dict[str, Act] = {"early": _raise(Missed("it never ran")), "b": lambda gate: gate.pass_through("b")}
    results = run(recording, acts, {"early", "b"}, lambda: log("restart"))
    assert statuses(results) == {"early": "done", "b": "done"}
    assert log.lines == ["restart"]


def test_without_members_nothing_is_restarted(recording: Recording) -> None:
    log = Log()
    run(recording, {"a": lambda _: None}, set(), lambda: log("restart"))
    assert log.lines == []


def test_when_every_member_ended_early_nothing_is_restarted(recording: Recording) -> None:
    log = Log()
    run(recording, {"a": _raise(Missed("it never ran"))}, {"a"}, lambda: log("restart"))
    assert log.lines == []


# --- calibration -----------------------------------------------------------------------------------


class Ticks:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


POD = "/api/v1/namespaces/own/pods/kubeproof-calibration"


@pytest.mark.parametrize(
    ("took_s", "scale"), [(0.05, 1.0), (0.2, 1.0), (0.3, 1.5), (0.4696, 2.35), (0.8, 4.0), (90.0, 4.0)]
)
def test_the_scale_stretches_with_the_machine_within_bounds(
    took_s: float, scale: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring alone is replaced: that a pod takes so long is not to be waited for."""

    def measure(action: Callable[[], object]) -> float:
        action()
        return took_s

    monkeypatch.setattr(calibration, "measure", measure)
    monkeypatch.setattr(calibration, "_fresh_name", lambda: POD.rsplit("/", 1)[1])
    api = TinyApi()
    api.paths[POD] = lambda: (200, {"status": {"phase": "Running"}})
    with api.client(tmp_path) as kube:
        assert calibrate(kube, "own") == scale
    assert [(method, path) for method, path, *_ in api.asked] == [
        ("POST", POD.rsplit("/", 1)[0]),
        ("GET", POD),
        ("DELETE", POD),
    ] * calibration.SAMPLES


def test_a_pod_that_never_runs_is_the_machine_s_fault_and_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks()
    monkeypatch.setattr(calibration, "_fresh_name", lambda: POD.rsplit("/", 1)[1])
    monkeypatch.setattr(
        calibration, "wait_for", lambda probe, timeout_s: wait_for(probe, timeout_s=3, clock=ticks)
    )
    api = TinyApi()
    api.paths[POD] = lambda: (200, {"status": {"phase": "Pending"}})
    with api.client(tmp_path) as kube, pytest.raises(InfraFault, match="is not running") as caught:
        calibrate(kube, "own")
    assert "kubeproof doctor" in caught.value.fix
    assert api.asked[-1][:2] == ("DELETE", POD)


def test_a_pod_that_never_runs_in_the_middle_of_a_run_stretches_to_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that swamps the scheduler gains no more by it."""
    monkeypatch.setattr(calibration, "_fresh_name", lambda: POD.rsplit("/", 1)[1])
    api = TinyApi()
    api.paths[POD] = lambda: (200, {"status": {"phase": "Pending"}})
    with api.client(tmp_path) as kube:
        assert calibration.slowdown(kube, "own") == calibration.MOST
    assert api.asked[-1][:2] == ("DELETE", POD)


def test_a_pod_that_somebody_removed_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_fresh_name", lambda: POD.rsplit("/", 1)[1])
    api = TinyApi()
    api.paths[POD] = lambda: (404, {"message": "not found"})
    with api.client(tmp_path) as kube:
        assert calibration.slowdown(kube, "own") == 1.0
