"""Runs the track of real nodes, on a cluster that has no others: from the image to what the track left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graders.evidence.bundle import TrackResult
from graders.evidence.records import Wait
from graders.faults import InfraFault
from graders.lab1.harm import attributed
from graders.lab1.incluster.image import OperatorImage
from graders.lab1.incluster.stage import RealStage
from graders.lab1.incluster.world import open_real_world
from graders.lab1.names import IN_CLUSTER
from graders.lab1.tracks.incluster import in_cluster
from graders.model import Capability
from graders.scenario.spec import Run
from graders.scenario.tracks import RestartGate, Track, run_tracks
from graders.submissions.manifests import Manifest

TRACK: Track[RealStage] = Track(
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
        assert run.another_cluster is not None
        self.image.record(run.recording)
        if self.image.problem:
            return {TRACK.name: TrackResult("failed", started, started, self.image.problem)}
        if not self.image.reference:
            return {TRACK.name: TrackResult("done", started, started)}
        try:
            with (
                run.another_cluster(TRACK.name, workers=run.workers) as place,
                open_real_world(run, self.manifests, self.image, place, self.namespace) as world,
            ):
                what = f"a cluster of {1 + run.workers} real nodes with the images on them"
                run.recording.writer.add(
                    Wait(started, run.recording.clock.now(), TRACK.name, "condition", what)
                )
                world.recording.mark(TRACK.name, "namespace", namespace=self.namespace, part="")
                gate = RestartGate((), (), lambda: None)
                stages = {TRACK.name: RealStage(TRACK.name, world)}
                return attributed(world, run_tracks([TRACK], stages, gate, run.recording, run.progress))
        except InfraFault as error:
            return {TRACK.name: TrackResult("failed", started, run.recording.clock.now(), str(error))}


def real_run(
    run: Run, manifests: Sequence[Manifest], namespace: str, image: OperatorImage | None
) -> RealRun | None:
    """The track with its image; None where it is not asked for, or this cluster cannot show it."""
    cluster = run.cluster
    able = cluster.capabilities >= TRACK.needs and cluster.real_nodes is not None
    if image is None or not able or run.another_cluster is None:
        return None
    return RealRun(run, manifests, namespace, image)
