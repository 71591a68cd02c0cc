"""Measures how fast a kind cluster is ready: one real node and the same simulated ones as everywhere."""

import time

from graders.benchmarks.starts import Measure
from graders.clusters.kind.nodes import KindNodes
from graders.clusters.kind.provider import KindProvider
from graders.clusters.provider import ClusterSpec
from graders.faults import InfraFault
from graders.progress import Progress


def measure_kind(progress: Progress) -> Measure:
    """One kind cluster, from nothing to ready and away again; what its node holds is one figure.

    Raises:
        InfraFault: it does not come up.
    """
    started = time.monotonic()
    with KindProvider().provision(ClusterSpec(name="bench"), progress) as cluster:
        ready_s = time.monotonic() - started
        nodes = cluster.real_nodes
        if not isinstance(nodes, KindNodes):
            raise InfraFault("a kind cluster has no nodes to measure")
        return Measure(ready_s, {name: nodes.containers.memory_bytes(name) for name in nodes.names()})
