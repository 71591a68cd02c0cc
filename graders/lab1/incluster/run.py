"""Runs the track of real nodes, on a cluster that has no others: from the image to what the track left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graders.evidence.bundle import TrackResult
from graders.evidence.records import Wait
from graders.faults import InfraFault
from graders.lab1.harm import attributed
from graders.lab1.incluster.image import OperatorImage, operator_image
from graders.lab1.incluster.stage import RealStage
from graders.lab1.incluster.world import open_real_world
from graders.lab1.story import IN_CLUSTER
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
    """All that the track needs; `namespace` is where its jobs go.

    `image` is None where the engine failed, and `problem` says how.
    """

    run: Run
    manifests: Sequence[Manifest]
    namespace: str
    image: OperatorImage | None
    problem: str = ""

    def act(self) -> dict[str, TrackResult]:
        """Run the track; without an image nothing is started, for then the record says enough.

        Raises:
            BadSubmission: the cluster refuses what was handed in.
        """
        run = self.run
        started = run.recording.clock.now()
        assert run.another_cluster is not None
        if self.image is None:
            return {TRACK.name: TrackResult("failed", started, started, self.problem)}
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


@contextlib.contextmanager
def prepared(run: Run, manifests: Sequence[Manifest], namespace: str) -> Iterator[RealRun | None]:
    """The track with its image, which is there while the block runs; None where it is not asked for.

    Nor where it cannot be shown: its check says so by itself.
    """
    cluster = run.cluster
    able = cluster.capabilities >= TRACK.needs and cluster.real_nodes is not None
    if TRACK.name not in run.tracks or not able or run.another_cluster is None:
        yield None
        return
    assert cluster.real_nodes is not None
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(operator_image(run, cluster.real_nodes.docker_host))
        except InfraFault as fault:
            # The engine's trouble is this track's alone.
            yield RealRun(run, manifests, namespace, None, str(fault))
            return
        yield RealRun(run, manifests, namespace, image)
