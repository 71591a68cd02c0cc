"""Runs the track of real nodes, on a cluster that has no others: from the image to what the track left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graders.clusters.provider import ClusterSpec
from graders.evidence.manifest import TrackResult
from graders.evidence.records import Wait
from graders.faults import InfraFault
from graders.lab1.environments import cluster_spec
from graders.lab1.incluster.context import RealPodsContext
from graders.lab1.incluster.environment import open_real_environment
from graders.lab1.incluster.image import OperatorImage
from graders.lab1.names import IN_CLUSTER
from graders.lab1.tracks.incluster import in_cluster
from graders.model import Capability, Cluster
from graders.scenario.spec import Run
from graders.scenario.tampering import attributed
from graders.scenario.tracks import RestartGate, Track, run_tracks
from graders.submissions.manifests import Manifest

TRACK: Track[RealPodsContext] = Track(
    IN_CLUSTER,
    in_cluster,
    "the operator's own image, and jobs of real containers",
    needs=frozenset({Capability.REAL_PODS}),
)


@dataclass(frozen=True)
class RealRun:
    """All that the track needs; `namespace` is where its jobs go."""

    run: Run
    manifests: Sequence[Manifest]
    namespace: str
    image: OperatorImage

    def act(self) -> dict[str, TrackResult]:
        """Run the track; without an image nothing is started, for then what became of its build says enough.

        Raises:
            BadSubmission: the cluster refuses what was handed in.
        """
        run = self.run
        started = run.recording.clock.now()
        self.image.record(run.recording)
        if self.image.problem:
            return {TRACK.name: TrackResult("failed", started, started, self.image.problem)}
        if not self.image.reference:
            return {TRACK.name: TrackResult("done", started, started)}
        try:
            with (
                run.fleet.start(self._spec()) as (live,),
                open_real_environment(run, self.manifests, self.image, live, self.namespace) as env,
            ):
                what = f"a cluster of {1 + run.workers} real nodes with the images on them"
                run.recording.writer.add(
                    Wait(started, run.recording.clock.now(), TRACK.name, "condition", what)
                )
                env.recording.mark(
                    TRACK.name, "namespace", namespace=self.namespace, part="", cluster=live.name
                )
                gate = RestartGate((), (), lambda: None)
                contexts = {TRACK.name: RealPodsContext(TRACK.name, env)}
                return attributed(env, run_tracks([TRACK], contexts, gate, run.recording, run.progress))
        except InfraFault as error:
            return {TRACK.name: TrackResult("failed", started, run.recording.clock.now(), str(error))}

    def _spec(self) -> ClusterSpec:
        run = self.run
        whole = cluster_spec(run, self.manifests, f"{run.lab}-{TRACK.name}")
        return replace(whole, nodes=(), workers=run.workers, needs=TRACK.needs)


def real_run(
    run: Run, first: Cluster, manifests: Sequence[Manifest], namespace: str, image: OperatorImage | None
) -> RealRun | None:
    """The track with its image; None where it is not asked for, or clusters like the first cannot show it."""
    able = first.capabilities >= TRACK.needs and first.real_nodes is not None
    if image is None or not able or first.guest is not None:
        return None
    return RealRun(run, manifests, namespace, image)
