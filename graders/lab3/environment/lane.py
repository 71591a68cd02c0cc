"""A lane: a cluster with the workload on it, watched, written to, backed up, broken and recovered."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.lab3.environment.context import LaneContext
from graders.lab3.environment.workload import digests
from graders.lab3.names import (
    LENIENCE_S,
    SERVING,
    STABLE_S,
    UNKNOWN,
    UNKNOWN_RTO_S,
)
from graders.polling import NotYet, TimedOut, wait_for
from graders.recovery.records import ObjectsLook
from graders.recovery.voids import starved
from graders.runbooks.schedule import BackupSchedule
from graders.runbooks.scripts import Ended, Scripts
from graders.scenario.recordledger import RecordLedger
from graders.scenario.steadystate import SteadyStateProber

BACKUP_WAIT_S = 60.0
_LOOK_S = 3.0


@dataclass
class Lane:
    """A lane that is open; `ledger` is the one that is being written."""

    context: LaneContext
    prober: SteadyStateProber
    scripts: Scripts
    schedule: BackupSchedule
    ledger: RecordLedger
    ledgers: ExitStack
    key_of: Callable[[str], bytes]
    neighbour: RecordLedger | None = None
    restores: int = 0
    """How often the learner's restore was started."""
    _epochs: int = field(default=1)

    @property
    def kube(self) -> Kube:
        """The grader at the cluster."""
        return self.context.live.kube

    @property
    def name(self) -> str:
        """The cluster."""
        return self.context.live.name

    def now(self) -> float:
        """Seconds of the run."""
        return self.context.recording.clock.now()

    def mark(self, name: str, **data: object) -> None:
        """Set a mark of this lane's track."""
        self.context.recording.mark(self.context.track, name, **data)

    def tell(self, detail: str) -> None:
        """Say what is being done."""
        self.context.task.update(detail=detail)

    def take_turn(self) -> None:
        """Wait until no other lane is measured; the next drill, or the end of the lane, gives it back."""
        self.tell("waiting for its turn")
        self.context.turn.take()

    def wait_until(self, t: float) -> None:
        """Wait for a moment of the run."""
        threading.Event().wait(max(0.0, t - self.now()))

    def look_at_objects(self, when: str) -> None:
        """Put on record what the objects of workload/ hold."""
        found = digests(self.kube, self.context.manifests)
        self.context.recording.writer.add(ObjectsLook(self.now(), when, found, self.name))

    def await_backups(self, count: int) -> bool:
        """Wait until so many are sealed in all; whether they are."""
        schedule, tries = self.schedule, self.schedule.tries + count + 2
        with suppress(TimedOut):
            wait_for(
                lambda: schedule.has_made(count, tries),
                timeout_s=BACKUP_WAIT_S * self.context.scale,
                interval_s=0.05,
            )
        return len(schedule.backups.sealed) >= count

    def next_ledger(self) -> None:
        """Begin a new ledger: of the old one more was written than there is."""
        self._epochs += 1
        self.ledgers.close()
        name = f"{SERVING}-{self._epochs}"
        self.ledger = self.ledgers.enter_context(self.context.new_ledger(name, self.key_of(name)))

    def left_so(self) -> bool:
        """Whether what fails now is what the runbook left: it ran, and the harness itself is well."""
        starvation, now = self.context.starvation, self.now()
        well = starvation.alive and not self.prober.dead
        return self.restores > 0 and well and not starved(starvation.samples, now - LENIENCE_S, now)

    def restore(self, scenario: str, purpose: str, timeout_s: float) -> Ended:
        """Run the learner's restore."""
        self.restores += 1
        return self.scripts.run(
            "restore",
            (*self.context.wanted.dr.restore, "--scenario", scenario),
            timeout_s,
            purpose=purpose,
            backups=self.schedule.backups.folder,
        )

    def verify(self, purpose: str) -> Ended:
        """Run the learner's verify."""
        return self.scripts.run(
            "verify",
            self.context.wanted.dr.verify,
            LENIENCE_S * self.context.scale,
            purpose=purpose,
            backups=self.schedule.backups.folder,
        )

    def rto_s(self, scenario: str) -> float:
        """Within how many seconds a scenario is to be over, on a machine that keeps up."""
        return UNKNOWN_RTO_S if scenario == UNKNOWN else self.context.wanted.target(scenario).rto_s

    def ledger_look(self, when: str) -> None:
        """Look at the ledger; where nobody answers for a while, nothing of it is on record."""

        def look() -> None:
            try:
                self.ledger.look(when)
            except InfraFault as error:
                # An API server that has just started says 429 of kinds that a CRD defines.
                raise NotYet(error.problem) from error

        try:
            wait_for(look, timeout_s=_LOOK_S * self.context.scale, interval_s=0.2)
        except TimedOut as mismatch:
            self.mark("no-look", when=when, why=str(mismatch))

    def await_stable(
        self, until: float, *names: str, since: float | None = None, due: float | None = None
    ) -> bool:
        """Wait until none of the probes failed for W, or until `until`; whether they are stable.

        One that fails after `due` has not recovered by then, whatever comes.
        """
        stable_s, begun = STABLE_S * self.context.scale, self.now() if since is None else since

        def probe() -> bool:
            if due is not None and self.prober.last_failure(*names) > due:
                return False
            self.prober.quiet_for(stable_s, *names, since=begun)
            return True

        try:
            stable = wait_for(probe, timeout_s=max(0.1, until - self.now()), interval_s=0.1)
        except TimedOut as mismatch:
            self.mark("not-stable", why=str(mismatch))
            return False
        if not stable:
            self.mark("not-stable", why="a probe failed after the last moment at which recovery counts")
        return stable
