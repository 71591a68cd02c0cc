"""What a GitOps engine is asked for: its processes, and what is particular about it on the hub."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.scenario.fleet import LiveCluster
from graders.submissions.rendering import Renderer


class GitOpsEngine(Protocol):
    """The engine's processes."""

    def start(self) -> None:
        """Start all of them; raises InfraFault where one does not get ready."""

    def kill(self) -> None:
        """SIGKILL all of them, with what they keep."""

    def check_alive(self) -> None:
        """Raise InfraFault where one does not run."""

    def tell(self) -> None:
        """Let it look at Git now, as a webhook would."""


@dataclass(frozen=True)
class FleetShape:
    """What a fleet is to an engine: `user` is who it is on the spokes, one for each environment.

    `namespace` is where it may deploy there.
    """

    user: str
    environments: tuple[str, ...]
    namespace: str


@dataclass(frozen=True)
class EngineSpec:
    """What an engine is started with: `folder` is a new one for all it writes."""

    owner: OwnedFolder
    folder: Path
    hub: LiveCluster
    program: Path
    renderer: Renderer
    repository_url: str


class EngineSetup(Protocol):
    """One engine as a fleet knows it; holds nothing of a run."""

    @property
    def shape(self) -> FleetShape:
        """The fleet that it is for."""

    @property
    def name(self) -> str:
        """What a submission calls it."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def processes(self) -> str:
        """What runs of it, and what stands in for the rest: for the report."""

    @property
    def user(self) -> str:
        """Who it is on the hub."""

    @property
    def namespace(self) -> str:
        """Where its objects are on the hub."""

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """What it is told by: groups, up to the slash, and kinds."""

    @property
    def watches(self) -> Mapping[str, str]:
        """What the grader's own watches follow on the hub, by resource."""

    def examine(self, root: Path) -> None:
        """See that what is handed in for this engine alone is in order; raises BadSubmission."""

    def program(self, progress: Progress) -> Path:
        """Have its program, and what it needs of this machine; raises InfraFault."""

    def definitions(self) -> list[dict[str, Any]]:
        """The CustomResourceDefinitions of its kinds, which the hub has from the beginning."""

    def furnish(self, hub: LiveCluster, spokes: Sequence[LiveCluster], root: Path) -> None:
        """Bring what it expects on the hub: its namespace, its settings, the way to each spoke."""

    def running(self, spec: EngineSpec) -> AbstractContextManager[GitOpsEngine]:
        """Its processes, not started, which end with the block."""

    def tried(self, hub: LiveCluster, environment: str, names: Sequence[str]) -> bool:
        """Whether it says that it wanted one of the objects `names` in an environment."""

    def complaint(self, hub: LiveCluster) -> str:
        """What it says on the hub that keeps it from its work; empty where it says nothing."""
