"""What a lane acts with."""

from collections.abc import Sequence
from dataclasses import dataclass

from graders.clusters.provider import NodeSpec
from graders.lab3.handin import Lab3Manifest
from graders.lab3.names import LEDGER_LABEL, MODELS_GROUP, MODELS_VERSION, SERVING
from graders.runbooks.environment import RunbookEnvironment
from graders.sandbox.protocol import Limits
from graders.sandbox.runtime import Runtime
from graders.scenario.lanes import LaneCluster
from graders.scenario.recordledger import LedgerPlace, OwnerKind, RecordLedger
from graders.submissions.manifests import Manifest

_MODELS = OwnerKind(f"{MODELS_GROUP}/{MODELS_VERSION}", "Model", "models")


@dataclass(frozen=True)
class LaneEnvironment(RunbookEnvironment):
    """What programs of the learner are run with; `tool_limits` are those of tools that we start for him."""

    chaos: Runtime
    hunter: Runtime
    tool_limits: Limits


@dataclass(frozen=True, kw_only=True)
class LaneContext(LaneCluster):
    """What a lane acts with: its cluster, what programs are run with, and what was handed in."""

    environment: LaneEnvironment
    wanted: Lab3Manifest
    manifests: Sequence[Manifest]
    nodes: tuple[NodeSpec, ...] = ()
    with_neighbour: bool = False

    def new_ledger(self, name: str, key: bytes, namespace: str = SERVING) -> RecordLedger:
        """A ledger of that name on the lane's cluster, not begun; Models are in the workload's alone."""
        place = LedgerPlace(namespace, LEDGER_LABEL, _MODELS if namespace == SERVING else None)
        return RecordLedger(self.recording, self.live.kube, self.live.name, place, name, key)
