"""What grading hands to a lab's scenario, and what a lab's scenario offers to grading."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from graders.clusters.provider import Claims
from graders.evidence.bundle import TrackResult
from graders.evidence.recorders import AuditRecorder, Recording
from graders.kube.client import Kube
from graders.model import Cluster, Submission
from graders.progress import Progress
from graders.sandbox.protocol import Limits, Sandbox
from graders.sandbox.runtime import Runtime
from graders.tools import Toolset


class AnotherCluster(Protocol):
    """Starts clusters beside the first one of a run."""

    def __call__(
        self, name: str, *, workers: int | None = None
    ) -> AbstractContextManager[tuple[Cluster, AuditRecorder]]:
        """A cluster like the first, by a name of its own; with `workers`, one of real nodes alone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One recording to be made of one submission, as it is known before any cluster runs.

    `tracks` are the tracks to run, `folder` a private scratch folder, `deadline_s` the base of T.
    """

    submission: Submission
    sandbox: Sandbox
    runtime: Runtime
    limits: Limits
    tool_limits: Limits
    tracks: Collection[str]
    folder: Path
    seed: int
    deadline_s: float
    progress: Progress
    engine: str = ""
    """Address of the Docker engine that holds the real nodes; empty where there are none."""
    several: bool = False
    """Whether clusters cost so little that what disturbs everybody gets one of its own."""
    at: int | None = None
    """The one disturbance of a series to act out, counted from 1; None for all of them."""
    workers: int = 0
    """How many workers a cluster of real nodes has beside its control plane."""


@dataclass(frozen=True, kw_only=True)
class Run(Plan):
    """One recording of one submission on one running cluster."""

    cluster: Cluster
    recording: Recording
    audit: AuditRecorder
    another_cluster: AnotherCluster | None = None
    """Starts one more cluster beside the first; None where the provider has but one."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        cluster: Cluster,
        recording: Recording,
        audit: AuditRecorder,
        another_cluster: AnotherCluster | None = None,
    ) -> Run:
        """The plan, carried out on `cluster`."""
        return cls(
            **vars(plan),
            cluster=cluster,
            recording=recording,
            audit=audit,
            another_cluster=another_cluster,
        )


@dataclass(frozen=True)
class Recorded:
    """What the manifest of the bundle says about the run; `operator` is its API identity."""

    tracks: Mapping[str, TrackResult]
    operator: str
    scale: float
    deadline_s: float
    submission: Mapping[str, object]
    """What judging may need to know of the hand-in."""


class Acting(Protocol):
    """What a scenario does once all is ready."""

    def __call__(self, run: Run) -> Recorded:
        """Act, while recorders witness.

        Raises:
            BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
        """
        ...


class Scenario(Protocol):
    """What `graders/<lab>/scenario.py` must have at its top level."""

    BLOCK: type[BaseModel]
    """The lab's own part of submission.yaml."""

    TRACKS: Collection[str]
    """The names of all its tracks."""

    TOOLS: Collection[Toolset]
    """Programs of its own, which `kubeproof setup LAB` has ready."""

    def examine(self, submission: Submission) -> None:
        """Look at a submission before any cluster starts.

        Raises:
            BadSubmission: it cannot be graded as it is.
        """

    def claims(self, submission: Submission) -> Claims:
        """What acting will do in a cluster, for one that belongs to somebody."""
        ...

    def prepare(self, plan: Plan) -> AbstractContextManager[Acting]:
        """Fetch, build and install all that acting needs; what is to go again goes when the block ends.

        Raises:
            BadSubmission: what was handed in cannot be built. InfraFault: something cannot be had.
        """
        ...

    def install_early(self, kube: Kube, submission: Submission) -> None:
        """Put in place what the cluster's controllers should know from their start, as far as it goes."""
