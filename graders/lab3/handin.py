"""What submission.yaml of lab 3 says, as frozen types: scenarios act by it, and a bundle's `block` has it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Scope:
    """What an experiment may touch: objects of a namespace by their labels, or nodes; `max` of them."""

    max: int
    namespace: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """One experiment: `format` is chaostoolkit, chaosmesh or litmus; `hypothesis` is chaosmesh's command."""

    id: str
    format: str
    file: str
    scope: Scope
    hypothesis: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chaos:
    """The experiments, and who runs them."""

    manifests: tuple[str, ...]
    service_account: str
    experiments: tuple[Experiment, ...]
    settings: str = ""
    pythonpath: str = ""


@dataclass(frozen=True)
class Recovery:
    """The commands of disaster recovery, and how often a backup is made, in seconds."""

    backup: tuple[str, ...]
    restore: tuple[str, ...]
    verify: tuple[str, ...]
    every_s: int


@dataclass(frozen=True)
class RecoveryTarget:
    """In how many seconds a scenario is over, and how many seconds of writes it may cost."""

    scenario: str
    rto_s: float
    rpo_s: float


@dataclass(frozen=True)
class Lab3Manifest:
    """What `Submission.manifest` is in lab 3; paths are inside the submission."""

    workload: tuple[str, ...]
    chaos: Chaos
    dr: Recovery
    targets: tuple[RecoveryTarget, ...]

    def target(self, scenario: str) -> RecoveryTarget:
        """What was promised for a scenario."""
        return next(each for each in self.targets if each.scenario == scenario)

    def as_block(self) -> dict[str, Any]:
        """The same as plain data, for the manifest of a bundle."""
        return dataclasses.asdict(self)


def manifest_from(block: Mapping[str, Any]) -> Lab3Manifest:
    """The manifest out of plain data, as a bundle has it; what is left out has its default."""
    return _MANIFEST.validate_python(block)


_MANIFEST = TypeAdapter(Lab3Manifest)
