"""The cluster of the lab: two zones, nodes that are soon missed, and a user for disaster recovery."""

from collections.abc import Iterable

from graders.clusters.provider import ClusterSpec, NodeSpec
from graders.lab3.names import DR_USER
from graders.model import Capability

NODE_GRACE_S = 8.0


def cluster_spec(
    name: str, nodes: tuple[NodeSpec, ...], needs: Iterable[Capability] = frozenset()
) -> ClusterSpec:
    """Such a cluster."""
    return ClusterSpec(
        name,
        nodes=nodes,
        needs=frozenset(needs),
        extra_controllers=("taint-eviction-controller",),
        node_grace_s=NODE_GRACE_S,
        simulator_per_zone=True,
        identities={DR_USER: ("system:masters",)},
    )
