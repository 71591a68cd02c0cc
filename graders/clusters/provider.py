"""What every way of getting a cluster offers, and the registry of those ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from graders.kube.client import Kube
from graders.model import Capability, Cluster
from graders.progress import Progress


@dataclass(frozen=True)
class NodeSpec:
    """A simulated node: `resources` are extended ones, such as `nvidia.com/gpu`."""

    name: str
    zone: str = "zone-a"
    resources: Mapping[str, int] = field(default_factory=dict)


def default_nodes() -> tuple[NodeSpec, ...]:
    """Two zones with a plain and a GPU node each."""
    return (
        NodeSpec("node-a1", "zone-a"),
        NodeSpec("node-a2", "zone-a", {"nvidia.com/gpu": 8}),
        NodeSpec("node-b1", "zone-b"),
        NodeSpec("node-b2", "zone-b", {"nvidia.com/gpu": 8}),
    )


@dataclass(frozen=True)
class ClusterSpec:
    """The cluster a lab wants.

    `on_audit` gets every raw audit line (bytes, no newline) as the API server writes it; without it
    the log is a file in the cluster's folder. `before_controllers` is called once the API server answers
    and, where the provider can, before its controllers look which kinds there are: the garbage collector
    looks again only every 30 s, and until then does not collect the children of a kind it missed.
    """

    name: str = "grading"
    nodes: tuple[NodeSpec, ...] = field(default_factory=default_nodes)
    on_audit: Callable[[bytes], None] | None = None
    before_controllers: Callable[[Kube], None] | None = None
    workers: int = 0


@dataclass(frozen=True)
class ProviderOptions:
    """What a person may say about where the cluster comes from; each provider takes what it knows.

    `kubeconfig` and `context` name a cluster that exists, `node_image` the image of kind's nodes; an empty
    one leaves the choice to the provider.
    """

    kubeconfig: Path | None = None
    context: str = ""
    node_image: str = ""


class ClusterProvider(Protocol):
    """A way of getting a cluster."""

    name: str
    capabilities: frozenset[Capability]
    """What its clusters can show; a cluster says itself what it can."""
    several: bool
    """Whether one more cluster costs so little that what disturbs everybody gets one of its own."""

    def provision(self, spec: ClusterSpec, progress: Progress) -> AbstractContextManager[Cluster]:
        """Start (or take) a cluster; what was started is gone when the block ends.

        Raises:
            InfraFault: it does not come up.
        """
        ...
