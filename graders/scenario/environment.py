"""What the tracks of one cluster share: its API, its recorders, and the learner's processes in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from graders.evidence.auditing import AuditRecorder
from graders.evidence.health import Health
from graders.evidence.recording import Recording
from graders.evidence.watching import WatchRecorder
from graders.faultproxy import FaultProxy
from graders.kube.client import Kube
from graders.model import Guest
from graders.sandbox.starvation import Scheduled
from graders.scenario.learnerprocess import LearnerProcess

SCHEDULED_GOOD_FOR_S = 0.1

QUIET_S = 1.0
"""On a machine that keeps up; a slower one stretches it."""


@dataclass(frozen=True)
class ApiUsage:
    """What a learner's processes asked for so far: requests, writes by namespace, objects made and deleted.

    `churn` counts pods that were created and objects that were deleted.
    """

    writes: Mapping[str, int]
    churn: int
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What all tracks on one cluster share. `user` is the API identity of the learner's program.

    `namespaces` are by track and part: `scaling`, `isolation/b`. `deadline_s` is T, calibrated.
    """

    kube: Kube
    recording: Recording
    audit: AuditRecorder
    watches: WatchRecorder
    health: Health
    proxy: FaultProxy
    user: str
    deadline_s: float
    namespaces: dict[str, str]
    cluster: str = ""
    """The name that records of it have."""
    processes: tuple[LearnerProcess, ...] = ()
    quiet_s: float = QUIET_S
    """A program that has not written for so long is taken to be done with what it saw."""
    own_namespace: str = "default"
    """Where the grader's own pods go, which are nobody's evidence."""
    guest: Guest | None = None
    """Only where the cluster is somebody else's."""

    _scheduled: list[tuple[float, Scheduled]] = field(default_factory=lambda: [(-1.0, Scheduled())])

    def scheduled(self) -> Scheduled:
        """How long all processes ran, and had to wait for a processor or for the proxy to have one.

        Many tracks ask often, and the kernel is slow to tell: an answer is good for a tenth of a second.
        """
        now = self.recording.clock.now()
        read_at, so_far = self._scheduled[0]
        if now - read_at > SCHEDULED_GOOD_FOR_S:
            each = [process.scheduled() for process in self.processes]
            waited_s = sum(one.waited_s for one in each) + self.proxy.late_s()
            so_far = Scheduled(sum(one.ran_s for one in each), waited_s)
            self._scheduled[0] = (now, so_far)
        return so_far

    def kept_since(self, waited_before_s: float) -> float:
        """Seconds kept waiting since `waited_s` was `waited_before_s`."""
        # A process that was started anew meanwhile has waited less than the one before it.
        return max(0.0, self.scheduled().waited_s - waited_before_s)

    def answers_slow_s(self) -> float:
        """Seconds, in all so far, that the API server was slow to answer the processes."""
        return self.proxy.slow_s()

    def usage(self, track: str) -> ApiUsage:
        """What all processes asked for: writes in the namespaces of `track`, the rest anywhere."""
        mine = {name: self.proxy.writes_in(name) for name in self._of(track)}
        return ApiUsage(mine, self.proxy.churn, self.proxy.requests)

    def elsewhere(self, track: str) -> frozenset[str]:
        """The namespaces that other tracks act in."""
        return frozenset(list(self.namespaces.values())) - self._of(track)

    def process_fault(self) -> Exception | None:
        """What kept a process from being started; the harness's trouble, not the learner's."""
        return next((process.fault for process in self.processes if process.fault is not None), None)

    def ends_since(self, t: float) -> str:
        """How often the first process ended by itself since time `t`, and how last; empty if it did not."""
        return self.processes[0].ends_since(t) if self.processes else ""

    def _of(self, track: str) -> frozenset[str]:
        """The namespaces of a track and its parts."""
        there = list(self.namespaces.items())
        return frozenset(name for key, name in there if key.partition("/")[0] == track)
