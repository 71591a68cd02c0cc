"""What all tracks of a run share: the cluster, its recorders, the proxy, the operator."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from graders.evidence.auditing import AuditRecorder
from graders.evidence.health import Health
from graders.evidence.recording import Recording
from graders.evidence.records import Object
from graders.evidence.watching import WatchRecorder
from graders.faultproxy import FaultProxy
from graders.kube.client import Kube
from graders.lab1.operator import Operator
from graders.lab1.samples import Samples
from graders.model import Guest
from graders.sandbox.starvation import Scheduled

SCHEDULED_GOOD_FOR_S = 0.1

QUIET_S = 1.0
"""On a machine that keeps up; a slower one stretches it."""


@dataclass(frozen=True)
class Asked:
    """What an operator asked for so far: requests, writes by namespace, pods created and objects deleted."""

    writes: Mapping[str, int]
    churn: int
    requests: int = 0


@dataclass(frozen=True)
class World:
    """What all stages of a run share. `operator_user` is the operator's API identity."""

    kube: Kube
    recording: Recording
    audit: AuditRecorder
    watches: WatchRecorder
    health: Health
    operator: Operator
    proxy: FaultProxy
    operator_user: str
    deadline_s: float
    namespaces: dict[str, str]
    """Namespace by stage and part: `scaling`, `isolation/b`."""
    watch_turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the track that disturbs watches: what ends one for 410 would end another's old news."""
    cluster: str = ""
    """The name that its records have."""
    at: int | None = None
    """The one crash point to act out; None for all."""
    quiet_s: float = QUIET_S
    """An operator that has not written for so long is taken to be done with what it saw."""
    deployments: tuple[Object, ...] = ()
    """Those of the submission, as they were handed in."""
    samples: Samples = field(default_factory=Samples)
    standby: Operator | None = None
    """A second replica, in the one track that has it."""
    own_namespace: str = "default"
    """Where the grader's own pods go, which are nobody's evidence."""
    guest: Guest | None = None
    """Only where the cluster is somebody else's."""

    _scheduled: list[tuple[float, Scheduled]] = field(default_factory=lambda: [(-1.0, Scheduled())])

    def scheduled(self) -> Scheduled:
        """How long all replicas' processes ran, and had to wait for a processor or for the proxy to have one.

        Many tracks ask often, and the kernel is slow to tell: an answer is good for a tenth of a second.
        """
        now = self.recording.clock.now()
        read_at, so_far = self._scheduled[0]
        if now - read_at > SCHEDULED_GOOD_FOR_S:
            each = [replica.scheduled() for replica in (self.operator, self.standby) if replica]
            waited_s = sum(one.waited_s for one in each) + self.proxy.late_s()
            so_far = Scheduled(sum(one.ran_s for one in each), waited_s)
            self._scheduled[0] = (now, so_far)
        return so_far

    def answers_slow_s(self) -> float:
        """Seconds, in all so far, that the API server was slow to answer the replicas."""
        return self.proxy.slow_s()

    def asked(self, track: str) -> Asked:
        """What all replicas asked for: writes in the namespaces of `track`, the rest anywhere."""
        mine = [name for key, name in list(self.namespaces.items()) if key.partition("/")[0] == track]
        return Asked(
            {name: self.proxy.writes_in(name) for name in mine}, self.proxy.churn, self.proxy.requests
        )

    def kept_since(self, waited_before_s: float) -> float:
        """Seconds kept waiting since `waited_s` was `waited_before_s`."""
        # A process that was started anew meanwhile has waited less than the one before it.
        return max(0.0, self.scheduled().waited_s - waited_before_s)
