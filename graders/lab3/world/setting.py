"""What a lane is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from graders.clusters.provider import NodeSpec
from graders.controlplane import ControlPlane
from graders.evidence.recording import Recording
from graders.lab3.handin import Lab3Manifest
from graders.lab3.names import SERVING
from graders.lab3.world.kit import Kit
from graders.lab3.world.ledger import RecordLedger
from graders.progress import Task
from graders.scenario.fleet import LiveCluster
from graders.scenario.starvation import StarvationControl
from graders.scenario.turns import Turn
from graders.submissions.manifests import Manifest


class WorkloadMissing(Exception):
    """The workload does not come up: nothing of this lane can be shown."""


@dataclass(frozen=True)
class LaneSetting:
    """What a lane is made of; `track` is what its marks say."""

    track: str
    live: LiveCluster
    control: ControlPlane
    recording: Recording
    kit: Kit
    wanted: Lab3Manifest
    manifests: Sequence[Manifest]
    scale: float
    dice: Random
    folder: Path
    task: Task
    turn: Turn
    starvation: StarvationControl
    nodes: tuple[NodeSpec, ...] = ()
    with_neighbour: bool = False

    def new_ledger(self, name: str, key: bytes, namespace: str = SERVING) -> RecordLedger:
        """A ledger of that name on the lane's cluster, not begun; Models are in the workload's alone."""
        models = namespace == SERVING
        return RecordLedger(
            self.recording, self.live.kube, self.live.name, namespace, name, key, models=models
        )
