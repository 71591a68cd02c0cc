"""What `lab.yaml` says, as recording is told it."""

from dataclasses import dataclass
from pathlib import Path

from graders.model import Capability


@dataclass(frozen=True)
class LabLimits:
    """What one sandbox of a lab may use."""

    memory_bytes: int
    cpu_s: float
    pids: int
    tmp_bytes: int
    file_bytes: int
    log_bytes: int
    wall_s: float


@dataclass(frozen=True)
class LabNode:
    """A node that the lab wants to see; `resources` are extended resources, by count."""

    name: str
    zone: str
    resources: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class LabSettings:
    """What `lab.yaml` says, and all of a lab that recording a run of it depends on.

    `program_limits` bound a learner's running processes, `tool_limits` what is run over a submission
    before or after; `limited` says in the lab's words what each is. `builds` labs make programs of what is
    handed in, with the packages that it names. `deadline_s` is T before the machine at hand scales it.
    `folder` is in labs/.
    """

    id: str
    title: str
    folder: Path
    needs: frozenset[Capability]
    wants: frozenset[Capability]
    """What only some of its checks need."""
    program_limits: LabLimits
    tool_limits: LabLimits
    limited: tuple[str, str]
    builds: bool
    deadline_s: float
    nodes: tuple[LabNode, ...]

    @property
    def shown(self) -> frozenset[Capability]:
        """What a cluster has to show for all of its checks."""
        return self.needs | self.wants
