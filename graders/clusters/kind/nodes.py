"""What can be done from outside to the machines that are a kind cluster's nodes."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graders.clusters.kind.command import Kind
from graders.clusters.kind.containers import Containers
from graders.clusters.kind.readiness import answering
from graders.clusters.readiness import nodes_ready
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet, TimedOut, wait_for

_READY_WITHIN_S = 180.0


@dataclass
class KindNodes:
    """The nodes of one cluster; see `graders.model.RealNodes`."""

    docker_host: str
    cluster: str
    members: tuple[str, ...]
    kind: Kind
    containers: Containers
    kube: Kube

    def names(self) -> tuple[str, ...]:
        """The nodes by the names the cluster knows, control plane first."""
        return self.members

    def load(self, *images: str) -> None:
        """Bring images of the engine's to every node that takes pods: with workers these alone.

        Raises:
            InfraFault: the engine lacks one, or a node does not take it.
        """
        self.kind.load(self.cluster, images, self.members[1:] or self.members)

    def fail(self, node: str) -> None:
        """Stop a node at once, as a power failure does; raises as `load`."""
        self.containers.kill(self._own(node))

    def restore(self, node: str) -> None:
        """Start a failed node again and wait until its kubelet reports it Ready; raises as `load`."""
        before = self._reported(node)
        self.containers.start(self._own(node))

        def ready() -> None:
            if self._reported(node) == before:
                raise NotYet(f"the kubelet of node {node} does not report")
            nodes_ready(self.kube, 1, labelled=f"kubernetes.io/hostname={node}")

        try:
            wait_for(lambda: answering(ready), timeout_s=_READY_WITHIN_S, interval_s=0.2)
        except TimedOut as error:
            raise InfraFault(
                f"{error} {_READY_WITHIN_S:.0f} s after node {node} was started again"
            ) from error

    def _reported(self, node: str) -> str:
        """When the kubelet last said that it lives; empty where nobody can tell."""
        try:
            lease = self.kube.find(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")
        except (InfraFault, ApiRefused):
            return ""
        return str(lease["spec"].get("renewTime") or "") if lease else ""

    def _own(self, node: str) -> str:
        if node not in self.members:
            raise InfraFault(f"cluster {self.cluster} has no node {node!r}; it has {', '.join(self.members)}")
        return node


def held_bytes(host: str, nodes: Iterable[str]) -> Mapping[str, int]:
    """The memory of those of the nodes that run; an engine that does not answer runs none."""
    held = {}
    with contextlib.suppress(InfraFault), Containers(host) as containers:
        for node in nodes:
            if size := containers.memory_bytes(node):
                held[node] = size
    return held
