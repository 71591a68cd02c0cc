"""What grading hands to a lab's scenario, and what a lab's scenario offers to grading."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from graders.clusters.provider import NodeSpec
from graders.evidence.health import HarnessHealth
from graders.evidence.manifest import Calibration, TrackResult
from graders.evidence.recording import Recording
from graders.model import Capability, Role, Submission
from graders.progress import Progress
from graders.sandbox.protocol import Limits, Sandbox
from graders.scenario.fleet import Fleet


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the lab's file says of a run: limits of a learner's processes and of tools, nodes, T unscaled."""

    limits: Limits
    tool_limits: Limits
    deadline_s: float
    needs: frozenset[Capability] = frozenset()
    nodes: tuple[NodeSpec, ...] = ()


@dataclass(frozen=True)
class Session:
    """One recording that is being made: its record, the health of the harness, scratch space and dice."""

    recording: Recording
    harness: HarnessHealth
    folder: Path
    seed: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recording of one submission: what it may use and what it was asked for.

    `selection` are the tracks to run, `options` those of the lab's own options that were given. `workers`
    is how many a cluster of real nodes has beside its control plane.
    """

    lab: str
    submission: Submission
    fleet: Fleet
    sandbox: Sandbox
    session: Session
    selection: Collection[str]
    settings: RunSettings
    progress: Progress
    options: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0

    @property
    def recording(self) -> Recording:
        """Where all goes on record."""
        return self.session.recording


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the manifest of the bundle says about the run; `block` is the lab's own part of it."""

    tracks: Mapping[str, TrackResult]
    calibration: Calibration = field(default_factory=Calibration)
    actors: Mapping[str, Role] = field(default_factory=dict)
    block: Mapping[str, object] = field(default_factory=dict)


Acting = Callable[[], Recorded]
"""What a scenario does once all is ready, while recorders witness; it starts what clusters it needs.

Raises:
    BadSubmission: a cluster refuses what was handed in. InfraFault: the harness failed.
"""


class Scenario(Protocol):
    """What the scenario of a lab's definition must offer."""

    TRACKS: Collection[str]
    """The names of all its tracks."""

    def examine(self, submission: Submission) -> None:
        """Look at a submission before anything starts.

        Raises:
            BadSubmission: it cannot be graded as it is.
        """

    def prepare(self, run: Run) -> AbstractContextManager[Acting]:
        """Fetch, build and install all that acting needs; what is to go again goes when the block ends.

        Raises:
            BadSubmission: what was handed in cannot be built. InfraFault: something cannot be had.
        """
