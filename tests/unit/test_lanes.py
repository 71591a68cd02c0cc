"""Lanes run side by side, each on its own cluster; how one ends is nobody else's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.clusters.provider import ClusterSpec
from graders.evidence.bundle import BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.progress import Silent
from graders.scenario import lanes
from graders.scenario.lanes import ClusterLane, LaneCluster, LaneRunner, NothingToShow


class Clusters:
    """Says which clusters were asked for; one called `bare` has no handle on its control plane."""

    def __init__(self) -> None:
        self.started: list[str] = []

    @contextmanager
    def start(self, spec: ClusterSpec) -> Iterator[tuple[object]]:
        self.started.append(spec.name)
        control = None if spec.name == "bare" else object()
        cluster = SimpleNamespace(control=control, own_namespace="own")
        yield (SimpleNamespace(kube=None, cluster=cluster, name=spec.name),)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    scales = iter((1.0, 3.0, 2.0))
    monkeypatch.setattr(lanes, "calibrate", lambda *_: next(scales))
    with BundleWriter(tmp_path / "bundle") as writer:
        recording = Recording(writer)
        session = SimpleNamespace(seed=7, folder=tmp_path)
        yield SimpleNamespace(fleet=Clusters(), recording=recording, session=session, progress=Silent())


def acted(run: Any, *acts: Callable[[LaneCluster], None]) -> tuple[list[TrackResult], float]:
    named = {f"lane-{number}": ClusterLane("", ClusterSpec, act) for number, act in enumerate(acts)}
    results, scale = LaneRunner(cast(Any, run), 1).act(named)
    assert list(results) == list(named)
    return list(results.values()), scale


def test_each_lane_acts_on_a_cluster_of_its_name_and_the_slowest_scale_counts(run: Any) -> None:
    seen: list[LaneCluster] = []
    results, scale = acted(run, seen.append, seen.append)
    assert run.fleet.started == [each.track for each in seen] == ["lane-0", "lane-1"]
    assert [each.status for each in results] == ["done", "done"]
    assert (scale, [each.scale for each in seen]) == (3.0, [1.0, 3.0])
    assert seen[0].dice.random() != seen[1].dice.random()


def test_one_that_acts_has_given_its_turn_and_may_take_it_again(run: Any) -> None:
    def measure(there: LaneCluster) -> None:
        assert not there.turn.held
        there.turn.take()

    results, _ = acted(run, measure, measure)
    assert [each.problem for each in results] == ["", ""]


def test_what_a_lane_ends_with_says_whose_fault_it_is(run: Any) -> None:
    def failing(error: Exception) -> Callable[[LaneCluster], None]:
        def act(there: LaneCluster) -> None:
            raise error

        return act

    ends = (NothingToShow("no workload"), InfraFault("no answer"), ValueError("a bug"))
    results, _ = acted(run, *map(failing, ends))
    assert [each.status for each in results] == ["done", "failed", "broken"]
    assert [each.problem for each in results][:2] == ["", "no answer"]
    assert "ValueError: a bug" in results[2].problem


def test_without_a_handle_on_the_control_plane_nothing_is_done(run: Any) -> None:
    lane = ClusterLane("", ClusterSpec, lambda _: pytest.fail("it acted"))
    results, scale = LaneRunner(cast(Any, run), 2).act({"bare": lane})
    assert results["bare"].status == "failed"
    assert "no handle on the control plane" in results["bare"].problem
    assert scale == 1.0
