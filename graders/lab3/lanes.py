"""Runs lanes: each on a cluster of its own, two at a time, and one at a time where it is measured."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from graders.clusters.provider import ClusterSpec
from graders.evidence.manifest import TrackResult
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import ApiRefused
from graders.lab3.handin import Lab3Manifest
from graders.lab3.names import AUDITS, CONTROL_PLANE, DR_USER, EXPERIMENTS, NAMESPACE, OVER, WORKLOAD
from graders.lab3.runtimes import CHAOS, HUNTER
from graders.lab3.tools import ETCD_TOOLS
from graders.lab3.tracks.audits import audits
from graders.lab3.tracks.controlplane import control_plane
from graders.lab3.tracks.experiments import experiments
from graders.lab3.tracks.namespace import namespace
from graders.lab3.tracks.workload import workload
from graders.lab3.world.cluster import cluster_spec
from graders.lab3.world.kit import Kit
from graders.lab3.world.lane import Lane
from graders.lab3.world.ledger import LedgerRefused
from graders.lab3.world.opening import open_lane
from graders.lab3.world.setting import LaneSetting, WorkloadMissing
from graders.model import Role
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.calibration import calibrate
from graders.scenario.spec import Run
from graders.scenario.starvation import StarvationControl
from graders.scenario.turns import Turn
from graders.submissions.manifests import Manifest, load_manifests
from graders.tools import ensure

AT_ONCE = 2
"""So many lanes go on at once: what measures has its turn, what waits or only compares goes on beside it."""


def _recovering(what: Callable[[Lane], None]) -> Callable[[LaneSetting], None]:
    """A lane that is watched, written to and backed up while `what` is done.

    Where the runbook leaves a cluster with which nothing more can be done, or something that was handed in
    forbids it, the lane is over.
    """

    def act(setting: LaneSetting) -> None:
        with open_lane(setting) as lane:
            try:
                what(lane)
            except (InfraFault, ApiRefused) as error:
                if not isinstance(error, LedgerRefused) and not lane.left_so():
                    raise
                lane.mark(OVER, why=str(error)[:500])

    return act


LANES: dict[str, tuple[str, Callable[[LaneSetting], None]]] = {
    WORKLOAD: ("pods, a zone and controllers are lost", _recovering(workload)),
    NAMESPACE: ("the namespace is deleted", _recovering(namespace)),
    CONTROL_PLANE: ("the control plane is lost", _recovering(control_plane)),
    EXPERIMENTS: ("experiments", experiments),
    AUDITS: ("audits", audits),
}
"""By track: what is told of it, and what is done there; what takes longest begins first."""


def _spec(run: Run, name: str) -> ClusterSpec:
    return cluster_spec(name, run.settings.nodes, run.settings.needs)


@dataclass(frozen=True)
class ReadyLanes:
    """What lanes run with."""

    run: Run
    kit: Kit
    starvation: StarvationControl
    measuring: threading.Lock = field(default_factory=threading.Lock)

    def act(self, tracks: Sequence[str]) -> tuple[dict[str, TrackResult], float]:
        """Run lanes, `AT_ONCE` of them side by side; gives how each went, and the machine's scale."""
        with self.starvation, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lane") as pool:
            acted = dict(zip(tracks, pool.map(self._act, tracks), strict=True))
        results = {track: result for track, (result, _) in acted.items()}
        return results, max((scale for _, scale in acted.values()), default=1.0)

    def _act(self, track: str) -> tuple[TrackResult, float]:
        run, (title, what) = self.run, LANES[track]
        clock = run.recording.clock
        began, status, problem, scale = clock.now(), "done", "", 1.0
        run.recording.note_actor(DR_USER, Role.LEARNER)
        with run.progress.task(title) as task:
            try:
                with ExitStack() as running:
                    turn = running.enter_context(Turn(self.measuring))
                    (live,) = running.enter_context(run.fleet.start(_spec(run, track)))
                    control = live.cluster.control
                    if control is None:
                        raise InfraFault("the provider has no handle on the control plane")
                    scale = calibrate(live.kube, live.cluster.own_namespace)
                    turn.give()
                    setting = LaneSetting(
                        track=track,
                        live=live,
                        control=control,
                        recording=run.recording,
                        kit=self.kit,
                        wanted=run.submission.manifest,
                        manifests=self._manifests(track),
                        scale=scale,
                        dice=Random(f"{run.session.seed} {track}"),  # noqa: S311  (a phase, no secret)
                        folder=run.session.folder,
                        task=task,
                        turn=turn,
                        starvation=self.starvation,
                        nodes=run.settings.nodes,
                        with_neighbour=track == NAMESPACE,
                    )
                    what(setting)
            except WorkloadMissing:
                pass
            except InfraFault as error:
                status, problem = "failed", str(error)
            except Exception:  # (the one place that turns a bug of ours into "not graded")
                status, problem = "broken", traceback.format_exc(limit=8)
        return TrackResult(status, began, clock.now(), problem), scale

    def _manifests(self, track: str) -> tuple[Manifest, ...]:
        wanted: Lab3Manifest = self.run.submission.manifest
        if track == AUDITS:
            return ()
        try:
            return load_manifests(self.run.submission.root, wanted.workload, kubectl=self.kit.kubectl)
        except BadSubmission as error:
            self.run.recording.mark(track, "workload", problem=str(error))
            raise WorkloadMissing(str(error)) from error


@contextmanager
def ready_lanes(run: Run) -> Iterator[ReadyLanes]:
    """Have programs and runtime; while the block runs, lanes can.

    Raises:
        InfraFault: something cannot be had.
    """
    with run.fleet.ready(_spec(run, CONTROL_PLANE)):
        runtime = ensure_runtime(run.progress)
        chaos, hunter = (ensure_runtime(run.progress, lock=lock) for lock in (CHAOS, HUNTER))
        kit = Kit(
            sandbox=run.sandbox,
            runtime=runtime,
            chaos=chaos,
            hunter=hunter,
            tools=ensure(ETCD_TOOLS, run.progress),
            submission=run.submission,
            limits=run.settings.limits,
            tool_limits=run.settings.tool_limits,
            folder=run.session.folder / "lanes",
        )
        kit.programs()
        yield ReadyLanes(run, kit, StarvationControl(run.recording))
