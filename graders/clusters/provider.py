"""What every way of getting a cluster offers, and the registry of those ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from graders.model import Capability, Cluster
from graders.progress import Progress


@dataclass(frozen=True)
class NodeSpec:
    """A simulated node: `gpus` are `nvidia.com/gpu` places; `labels` and `taints` come on top."""

    name: str
    zone: str = "zone-a"
    gpus: int = 0
    pods: int = 110


@dataclass(frozen=True)
class ClusterSpec:
    """The cluster a lab wants.

    `on_audit` gets every raw audit line (bytes, no newline) as the API server writes it; without it
    the log is a file in the cluster's folder.
    """

    name: str = "grading"
    nodes: tuple[NodeSpec, ...] = field(default_factory=lambda: DEFAULT_NODES)
    on_audit: Callable[[bytes], None] | None = None


DEFAULT_NODES = (
    NodeSpec("node-a1", "zone-a"),
    NodeSpec("node-a2", "zone-a", gpus=8),
    NodeSpec("node-b1", "zone-b"),
    NodeSpec("node-b2", "zone-b", gpus=8),
)


class ClusterProvider(Protocol):
    """A way of getting a cluster."""

    name: str
    capabilities: frozenset[Capability]

    def provision(self, spec: ClusterSpec, progress: Progress) -> AbstractContextManager[Cluster]:
        """Start (or take) a cluster; what was started is gone when the block ends.

        Raises:
            InfraFault: it does not come up.
        """
        ...
