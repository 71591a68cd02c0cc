"""What a bundle says about itself: what was graded, where, by whom, and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graders.faults import InfraFault
from graders.model import Role

SCHEMA = "kubeproof/bundle/v2"


@dataclass(frozen=True)
class TrackResult:
    """How one track of the scenario ended: `status` is `done` or `failed` (harness), times in seconds."""

    status: str
    started: float
    ended: float
    problem: str = ""


@dataclass(frozen=True)
class ClusterInfo:
    """One cluster of the run: where it came from and what it could show."""

    provider: str
    version: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """How slow the machine was: `deadline_s` is T, in seconds, and `scale` the factor that made it."""

    scale: float = 1.0
    deadline_s: float = 0.0


@dataclass(frozen=True)
class BundleManifest:
    """What was graded, where, by whom, and how it went.

    `clusters` are those that were started, by the name that records have in `cluster`; `capabilities` what
    the first of them could show, none where there was no cluster. `actors` says for each user that an API
    server authenticated whose it is, see `Role`. `submission` holds learner_id and digest. `block` is the
    lab's own, parsed by the lab's own model. `records` says how many records each file has.
    """

    lab: str
    run_id: str
    created_at: str
    seed: int
    provider: str
    sandbox: str
    kubeproof_version: str
    submission: Mapping[str, Any]
    tracks: Mapping[str, TrackResult]
    clusters: Mapping[str, ClusterInfo] = field(default_factory=dict)
    actors: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    block: Mapping[str, Any] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    records: Mapping[str, int] = field(default_factory=dict)
    schema: str = SCHEMA

    @property
    def deadline_s(self) -> float:
        """T: how long a learner's program has to react, in seconds."""
        return self.calibration.deadline_s

    @cached_property
    def learners(self) -> frozenset[str]:
        """API identities of the learner's programs."""
        return frozenset(user for user, role in self.actors.items() if role == Role.LEARNER)

    @property
    def learner(self) -> str:
        """The API identity of the one program of the learner's.

        Raises:
            InfraFault: there is none, or more than one.
        """
        if len(self.learners) != 1:
            raise InfraFault(f"the record names {len(self.learners)} users as the learner's")
        return next(iter(self.learners))

    def role(self, user: str) -> Role:
        """Whose a user is; `OTHER` for one whom nobody vouched for."""
        return Role(self.actors.get(user, Role.OTHER))


def manifest_of(data: Mapping[str, Any]) -> BundleManifest:
    """The manifest as it was written.

    Raises:
        TypeError, KeyError: it is not one.
    """
    fields = dict(data)
    fields["tracks"] = {name: TrackResult(**each) for name, each in data["tracks"].items()}
    fields["clusters"] = {
        name: ClusterInfo(each["provider"], each["version"], tuple(each["capabilities"]))
        for name, each in data["clusters"].items()
    }
    fields["calibration"] = Calibration(**data["calibration"])
    for name in ("capabilities", "warnings"):
        fields[name] = tuple(data[name])
    return BundleManifest(**fields)
