"""Lanes: tracks that have a cluster each, some at a time, and one at a time where it is measured."""

import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from graders.clusters.provider import ClusterSpec
from graders.controlplane import ControlPlane
from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.progress import Task
from graders.scenario.calibration import calibrate
from graders.scenario.fleet import LiveCluster
from graders.scenario.spec import Run
from graders.scenario.starvation import StarvationControl
from graders.scenario.turns import Turn


class NothingToShow(Exception):
    """What was handed in lets nothing of a lane be shown, and the record says why."""


@dataclass(frozen=True, kw_only=True)
class LaneCluster:
    """The cluster of a lane, and what is measured by; `track` is what its marks say.

    `turn` is had while a lane begins: who measures later takes it again. `dice` are the run's, and of this
    track alone.
    """

    track: str
    live: LiveCluster
    control: ControlPlane
    recording: Recording
    scale: float
    dice: Random
    folder: Path
    task: Task
    turn: Turn
    starvation: StarvationControl


@dataclass(frozen=True)
class ClusterLane:
    """A track with a cluster of its own: what is told of it, which cluster, and what is done there."""

    title: str
    cluster: Callable[[str], ClusterSpec]
    act: Callable[[LaneCluster], None]


@dataclass(frozen=True)
class LaneRunner:
    """Runs lanes, `at_once` of them side by side: what waits or compares goes on beside a measurement."""

    run: Run
    at_once: int
    measuring: threading.Lock = field(default_factory=threading.Lock)

    def act(self, lanes: Mapping[str, ClusterLane]) -> tuple[dict[str, TrackResult], float]:
        """Run all, by their tracks; gives how each went, and the machine's scale."""
        starvation = StarvationControl(self.run.recording)

        def acted(track: str) -> tuple[TrackResult, float]:
            return self._acted(track, lanes[track], starvation)

        with starvation, ThreadPoolExecutor(self.at_once, thread_name_prefix="lane") as pool:
            found = dict(zip(lanes, pool.map(acted, lanes), strict=True))
        results = {track: result for track, (result, _) in found.items()}
        return results, max((scale for _, scale in found.values()), default=1.0)

    def _acted(
        self, track: str, lane: ClusterLane, starvation: StarvationControl
    ) -> tuple[TrackResult, float]:
        run, clock = self.run, self.run.recording.clock
        began, status, problem, scale = clock.now(), "done", "", 1.0
        with run.progress.task(lane.title) as task:
            try:
                with ExitStack() as running:
                    turn = running.enter_context(Turn(self.measuring))
                    (live,) = running.enter_context(run.fleet.start(lane.cluster(track)))
                    control = live.cluster.control
                    if control is None:
                        raise InfraFault("the provider has no handle on the control plane")
                    scale = calibrate(live.kube, live.cluster.own_namespace)
                    turn.give()
                    there = LaneCluster(
                        track=track,
                        live=live,
                        control=control,
                        recording=run.recording,
                        scale=scale,
                        dice=Random(f"{run.session.seed} {track}"),  # noqa: S311  (a phase, no secret)
                        folder=run.session.folder,
                        task=task,
                        turn=turn,
                        starvation=starvation,
                    )
                    lane.act(there)
            except NothingToShow:
                pass
            except InfraFault as error:
                status, problem = "failed", str(error)
            except Exception:  # (the one place that turns a bug of ours into "not graded")
                status, problem = "broken", traceback.format_exc(limit=8)
        return TrackResult(status, began, clock.now(), problem), scale
