"""Runs lanes: each on a cluster of its own, one after another."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from graders.clusters.provider import ClusterSpec
from graders.evidence.manifest import TrackResult
from graders.faults import BadSubmission, InfraFault
from graders.lab3.handin import Lab3Manifest
from graders.lab3.names import CONTROL_PLANE, DR_USER, EXPERIMENTS, NAMESPACE, WORKLOAD
from graders.lab3.tools import ETCD_TOOLS
from graders.lab3.tracks.controlplane import control_plane
from graders.lab3.tracks.experiments import experiments
from graders.lab3.tracks.namespace import namespace
from graders.lab3.tracks.workload import workload
from graders.lab3.world.lane import Lane, LaneSetting, WorkloadMissing, open_lane
from graders.lab3.world.scripts import Kit
from graders.model import Role
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.calibration import calibrate
from graders.scenario.spec import Run
from graders.submissions.manifests import Manifest, load_manifests
from graders.tools import ensure

NODE_GRACE_S = 8.0
CHAOS_LOCK = Path(__file__).with_name("chaos-requirements.txt")


def _recovering(what: Callable[[Lane], None]) -> Callable[[LaneSetting], None]:
    """A lane that is watched, written to and backed up while `what` is done."""

    def act(setting: LaneSetting) -> None:
        with open_lane(setting) as lane:
            what(lane)

    return act


LANES: dict[str, tuple[str, Callable[[LaneSetting], None]]] = {
    CONTROL_PLANE: ("the control plane is lost", _recovering(control_plane)),
    NAMESPACE: ("the namespace is deleted", _recovering(namespace)),
    WORKLOAD: ("pods, a zone and controllers are lost", _recovering(workload)),
    EXPERIMENTS: ("experiments", experiments),
}
"""By track: what is told of it, and what is done there."""


def cluster_spec(run: Run, name: str) -> ClusterSpec:
    """The world of the lab: two zones, nodes that are soon missed, and a user for disaster recovery."""
    return ClusterSpec(
        name,
        nodes=run.settings.nodes,
        needs=run.settings.needs,
        extra_controllers=("taint-eviction-controller",),
        node_grace_s=NODE_GRACE_S,
        simulator_per_zone=True,
        identities={DR_USER: ("system:masters",)},
    )


@dataclass(frozen=True)
class ReadyLanes:
    """What lanes run with."""

    run: Run
    kit: Kit

    def act(self, track: str) -> tuple[TrackResult, float]:
        """Run one lane; gives how it went, and the machine's scale."""
        run, (title, what) = self.run, LANES[track]
        clock = run.recording.clock
        began, status, problem, scale = clock.now(), "done", "", 1.0
        run.recording.note_actor(DR_USER, Role.LEARNER)
        with run.progress.task(title) as task:
            try:
                with run.fleet.start(cluster_spec(run, track)) as (live,):
                    control = live.cluster.control
                    if control is None:
                        raise InfraFault("the provider has no handle on the control plane")
                    scale = calibrate(live.kube, live.cluster.own_namespace)
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
    with run.fleet.ready(cluster_spec(run, CONTROL_PLANE)):
        runtime = ensure_runtime(run.progress)
        chaos = ensure_runtime(run.progress, lock=CHAOS_LOCK)
        tools = ensure(ETCD_TOOLS, run.progress)
        settings, folder = run.settings, run.session.folder / "lanes"
        kit = Kit(
            run.sandbox, runtime, chaos, tools, run.submission, settings.limits, settings.tool_limits, folder
        )
        kit.programs()
        yield ReadyLanes(run, kit)
