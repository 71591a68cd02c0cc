"""The frozen types that cross a seam: between grading, clusters, sandbox, judging, scoring and reports.

No I/O here. Points are `Decimal`, never floats; times named `_s` are seconds, and times in a bundle
count from the start of the run on a monotonic clock.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from graders.controlplane import ControlPlane


class Capability(StrEnum):
    """What a cluster can show; a check that needs more is UNSUPPORTED there."""

    API = "api"
    CONTROLLERS = "controllers"
    SIMULATED_NODES = "simulated-nodes"
    REAL_PODS = "real-pods"
    NETWORK_POLICY = "network-policy"
    ETCD_ACCESS = "etcd-access"
    AUDIT_LOG = "audit-log"


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    UNSUPPORTED = "unsupported"
    ERROR = "error"


class Fault(StrEnum):
    """Who owns an outcome that is not PASSED."""

    LEARNER = "learner"
    INFRASTRUCTURE = "infrastructure"
    GRADER = "grader"


class Role(StrEnum):
    """Whose a user of an API server is."""

    GRADER = "grader"
    CONTROL_PLANE = "control-plane"
    NODE = "node"
    LEARNER = "learner"
    OTHER = "other"


class Verdict(StrEnum):
    """What a report as a whole says."""

    GRADED = "graded"
    UNGRADED = "ungraded"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Submission:
    """One learner's hand-in, checked and safe to read.

    `manifest` is the lab's own part of submission.yaml, parsed by the model the lab names.
    `digest` is `sha256:<hex>` over every file's path, mode and content. `left_out` stood in its folder and
    is no part of it.
    """

    learner_id: str
    lab: str
    root: Path
    digest: str
    manifest: Any
    submitted_at: datetime | None = None
    left_out: tuple[str, ...] = ()


class RealNodes(Protocol):
    """What can be done from outside to the machines that a cluster's real nodes are."""

    docker_host: str
    """The engine they run on, such as `unix:///var/run/docker.sock`."""

    def names(self) -> tuple[str, ...]:
        """The nodes by the names the cluster knows, control plane first."""

    def load(self, *images: str) -> None:
        """Bring images of the engine's to every node that takes pods: where there are workers, to these.

        Raises:
            InfraFault: the engine or a node does not take part.
        """

    def fail(self, node: str) -> None:
        """Stop a node at once, as a power failure does; raises as `load`."""

    def restore(self, node: str) -> None:
        """Start a failed node again; raises as `load`."""


class Guest(Protocol):
    """How the grader behaves in a cluster of somebody else's: it knows, and keeps to, what is its own."""

    pod: Mapping[str, Any]
    """What a pod's spec needs to get onto the grader's own nodes: `nodeSelector` and `tolerations`."""

    def owns(self, namespace: str) -> bool:
        """Whether a namespace is the grader's own."""

    def made(self, item: Mapping[str, Any]) -> bool:
        """Whether an object that is in no namespace is of this run's making."""

    def admit(self, method: str, path: str, query: Mapping[str, object], body: Any) -> Any:
        """See that a write of the grader's concerns its own, note down what it makes; gives what to send.

        Raises:
            InfraFault: the object is there already, and is somebody else's.
        """


@dataclass(frozen=True)
class Cluster:
    """A running cluster: `kubeconfig` is the grader's, never shown to a learner."""

    name: str
    kubeconfig: Path
    version: str
    capabilities: frozenset[Capability]
    owned: bool
    provider: str = ""
    serving: tuple[Path, Path] | None = None
    """Certificate and key with which a proxy on loopback may serve in the API server's place; None where
    the cluster's authority is out of reach."""
    own_namespace: str = "default"
    """Where the grader's own pods go, such as those it measures with."""
    real_nodes: RealNodes | None = None
    """Only where the cluster has real nodes and the provider made them."""
    guest: Guest | None = None
    """Only where the cluster is somebody else's: what the grader writes goes past it."""
    kinds_known_late: bool = False
    """Whether its controllers ran before the lab's kinds were there, and so learn of them only later."""
    identities: Mapping[str, Path] = field(default_factory=dict)
    """Kubeconfigs of the users that the lab asked for, by their names."""
    loopback_listener: Callable[[int], socket.socket] | None = None
    """Opens a port of the loopback that its API server has for itself, and listens there; raises InfraFault.
    None where that loopback is this machine's."""
    control: ControlPlane | None = None
    """Only where the provider runs the control plane itself; with it, and only then, the cluster has
    the capability `etcd-access`."""

    def __post_init__(self) -> None:
        access = {Capability.ETCD_ACCESS} if self.control is not None else set()
        object.__setattr__(self, "capabilities", self.capabilities - {Capability.ETCD_ACCESS} | access)


@dataclass(frozen=True)
class Outcome:
    """What one check says, with who is to blame when it does not pass."""

    check_id: str
    status: Status
    title: str = ""
    expected: str = ""
    observed: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    hint: str = ""
    fault: Fault | None = None
    duration_s: float = 0.0
    tracks: tuple[str, ...] = ()
    """The tracks whose record the check reads."""
    detail: str = ""
    """A traceback for staff; never shown to a learner."""


@dataclass(frozen=True)
class Criterion:
    """One line of a rubric: `points` are earned when every check in `checks` passes."""

    id: str
    title: str
    group: str
    points: Decimal
    checks: tuple[str, ...]
    visibility: str = "visible"
    planned: bool = False
    unsupported_to: str = ""
    """Group, or else criterion, that takes the points where the provider cannot show the checks."""


@dataclass(frozen=True)
class Rubric:
    """Every point of a lab; `sha256` is over the file it came from."""

    lab: str
    version: str
    criteria: tuple[Criterion, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    """Group id to title, in the order reports show them."""
    sha256: str = ""


@dataclass(frozen=True)
class CriterionScore:
    """What a criterion earned; `earned` is None while one of its checks is an ERROR."""

    criterion: Criterion
    points: Decimal
    earned: Decimal | None
    status: Status


@dataclass(frozen=True)
class Score:
    """The rubric applied to outcomes. `total` is None when anything in it is not gradable."""

    criteria: tuple[CriterionScore, ...]
    total: Decimal | None
    possible: Decimal
    notes: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    """Titles of the rubric's groups, by id."""

    @property
    def percent(self) -> Decimal | None:
        """Total over possible in per cent, to two places; None when ungraded or nothing was possible."""
        if self.total is None or not self.possible:
            return None
        return (100 * self.total / self.possible).quantize(Decimal("0.01"))


@dataclass(frozen=True)
class GradeReport:
    """Everything a person or another system needs to know about one grading.

    `provenance` names versions, digests, provider, sandbox, seed and scale; `timing` holds seconds by
    stage, where `total` leaves out `prepare`: fetching and building what was not there yet; `problem` says in
    words why a report is UNGRADED or REJECTED.
    """

    lab: str
    verdict: Verdict
    submission: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    score: Score | None
    provenance: Mapping[str, Any]
    timing: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    warnings: tuple[str, ...] = ()
    schema: str = "kubeproof/report/v1"
