"""What a track waits for is on record, with its begin, its end, and whom it waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Clock, Recording
from graders.evidence.records import Object, Wait
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.jobscontext import JobsContext
from graders.progress import Silent
from graders.sandbox.starvation import Scheduled
from graders.scenario.environment import ApiUsage
from graders.scenario.tracks import RestartGate, Track, run_tracks
from tests.unit.synthetic_bundle import make_manifest

Act = Callable[[JobsContext], None]

RESTED_S = 0.3


class Writing:
    """An operator that writes until `until`, in seconds of the run, and rests then."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.clock: Clock | None = None

    def last_write(self, user: str, namespace: str) -> float:
        assert (user, namespace) == ("the operator", "here")
        assert self.clock is not None
        return min(self.until, self.clock.now())


def waited(
    folder: Path, acts: dict[str, Act], members: set[str], audit: Writing | None = None
) -> tuple[Wait, ...]:
    """The records that the acts leave, side by side on real stages and a real gate."""
    writer = BundleWriter(folder / "bundle")
    recording = Recording(writer)
    shared = SimpleNamespace(
        recording=recording,
        namespaces={},
        kube=None,
        deadline_s=30.0,
        watch_turn=threading.Lock(),
        scheduled=Scheduled,
        usage=lambda track: ApiUsage({}, 0),
        elsewhere=lambda track: frozenset(),
        answers_slow_s=lambda: 0.0,
        audit=audit,
        user="the operator",
        quiet_s=RESTED_S,
        health=SimpleNamespace(slow_s=lambda since: 0.0),
    )
    if audit is not None:
        audit.clock = recording.clock
    gate = RestartGate(members, acts.keys() - members, lambda: None)
    contexts = {name: JobsContext(name, cast(OperatorEnvironment, shared), gate) for name in acts}
    tracks = [Track(name, act, name) for name, act in acts.items()]
    results = run_tracks(tracks, contexts, gate, recording, Silent())
    assert {result.status for result in results.values()} == {"done"}, results
    writer.close(make_manifest(tracks={"a": TrackResult("done", 0.0, 1.0)}))
    return Bundle(folder / "bundle").waits


def test_a_condition_is_on_record_in_its_words(tmp_path: Path) -> None:
    def act(context: JobsContext) -> None:
        context.wait("the moon to rise", lambda: None)
        context.reached("the sun to set", lambda: None)

    found = waited(tmp_path, {"a": act}, set())
    assert [(wait.track, wait.kind, wait.what) for wait in found] == [
        ("a", "condition", "the moon to rise"), ("a", "condition", "the sun to set"),
    ]  # fmt: skip
    assert all(wait.t <= wait.t_end for wait in found)


def test_who_gathers_for_the_restart_knows_whom_all_waited_for(tmp_path: Path) -> None:
    here = threading.Event()

    def early(context: JobsContext) -> None:
        here.set()
        context.through_restart()

    def late(context: JobsContext) -> None:
        here.wait(30)
        context.wait("something first", lambda: None)

    found = waited(tmp_path, {"early": early, "late": late}, {"early"})
    gathered, restart = (
        next(wait for wait in found if (wait.track, wait.kind) == ("early", kind))
        for kind in ("others", "restart")
    )
    assert gathered.released_by == "late"
    assert gathered.t_end == restart.t
    first = next(wait for wait in found if wait.track == "late")
    assert gathered.t <= first.t <= first.t_end <= gathered.t_end


def test_a_turn_is_waited_for_until_the_other_track_is_done(tmp_path: Path) -> None:
    mine = threading.Event()

    def first(context: JobsContext) -> None:
        with context.watch_turn():
            mine.set()
            context.wait("the end of the turn", lambda: None)

    def second(context: JobsContext) -> None:
        mine.wait(30)
        with context.watch_turn():
            pass

    found = waited(tmp_path, {"first": first, "second": second}, set())
    turns = {wait.track: wait for wait in found if wait.kind == "turn"}
    held = next(wait for wait in found if wait.kind == "condition")
    assert turns["first"].t_end <= held.t_end <= turns["second"].t_end


def test_settled_means_that_the_operator_has_stopped_writing(tmp_path: Path) -> None:
    writing = Writing(until=0.7)
    settled: list[float] = []
    waited(tmp_path, {"a": lambda context: settled.append(context.settle("here"))}, set(), writing)
    (found,) = settled
    assert writing.until + RESTED_S <= found <= writing.until + RESTED_S + 1.0


def test_a_pod_that_is_not_there_any_more_is_waited_for_and_its_name_and_uid_given(tmp_path: Path) -> None:
    """Else an operator that takes a pod away between two looks would break the track, and not be graded."""
    looks = iter([0, 0, 2])
    found: list[tuple[str, str]] = []

    class Vanishing(JobsContext):
        def pods(self, namespace: str, job: str) -> dict[str, Object]:
            count = next(looks, 2)
            return {f"{job}-{n}": {"metadata": {"uid": f"u{n}"}} for n in range(count)}

    def act(context: JobsContext) -> None:
        gone = Vanishing(context.track, context.env, context.gate)
        found.extend((gone.pod("here", "a"), gone.pod("here", "a", -1), gone.pod("here", "a", 1)))

    waited(tmp_path, {"a": act}, set())
    assert found == [("a-0", "u0"), ("a-1", "u1"), ("a-1", "u1")]


def test_a_job_that_is_not_there_any_more_is_waited_for(tmp_path: Path) -> None:
    """Else an operator with a wrong time to live would break the track, and not be graded."""
    looks = iter([None, {"metadata": {"uid": "u"}}])
    found: list[Object] = []

    class Vanishing(JobsContext):
        def job(self, namespace: str, name: str) -> Object | None:
            return next(looks)

    def act(context: JobsContext) -> None:
        found.append(Vanishing(context.track, context.env, context.gate).standing_job("here", "train"))

    (wait,) = waited(tmp_path, {"a": act}, set())
    assert wait.what == "the job train to be there"
    assert found == [{"metadata": {"uid": "u"}}]
