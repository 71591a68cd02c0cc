"""What a custom resource asks for, as a tree of steps: Chaos Mesh and Litmus both come down to these."""

from __future__ import annotations

from dataclasses import dataclass

from graders.chaos.selections import PodSelection


@dataclass(frozen=True)
class KillPods:
    """Delete pods, with `grace_s`."""

    name: str
    selection: PodSelection
    grace_s: int = 0


@dataclass(frozen=True)
class FailPods:
    """Hold pods unready for a while: their images are exchanged, and put back afterwards."""

    name: str
    selection: PodSelection
    duration_s: float


@dataclass(frozen=True)
class DrainNode:
    """Cordon a node and evict its pods; uncordon it after a while. `where` is file and line."""

    name: str
    node: str
    duration_s: float
    where: str


@dataclass(frozen=True)
class Taint:
    """One taint of a node."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}{f'={self.value}' if self.value else ''}:{self.effect}"


@dataclass(frozen=True)
class TaintNode:
    """Taint a node, and take the taints away after a while. `where` is file and line."""

    name: str
    node: str
    taints: tuple[Taint, ...]
    duration_s: float
    where: str


@dataclass(frozen=True)
class Pause:
    """Wait."""

    duration_s: float


@dataclass(frozen=True)
class InTurn:
    """One after the other; all of them within `deadline_s`, if there is one."""

    children: tuple[ChaosStep, ...]
    deadline_s: float | None = None


@dataclass(frozen=True)
class SideBySide:
    """All at once; all of them within `deadline_s`, if there is one."""

    children: tuple[ChaosStep, ...]
    deadline_s: float | None = None


ChaosStep = KillPods | FailPods | DrainNode | TaintNode | Pause | InTurn | SideBySide


class NotRunHere(Exception):
    """What a custom resource asks for needs what no embedded cluster has: it costs nothing."""
