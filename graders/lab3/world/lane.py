"""A lane: a cluster with the workload on it, watched, written to, backed up, broken and recovered."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.lab3.names import (
    JUDGED_BY,
    LENIENCE_S,
    SERVING,
    STABLE_S,
    UNKNOWN,
    UNKNOWN_RTO_S,
    WITHOUT_RESTORE,
)
from graders.lab3.records import Drill, ObjectsLook
from graders.lab3.world.backups import BackupSchedule
from graders.lab3.world.ledger import RecordLedger
from graders.lab3.world.prober import Prober
from graders.lab3.world.scripts import Ended, Scripts
from graders.lab3.world.setting import LaneSetting
from graders.lab3.world.workload import digests
from graders.polling import NotYet, TimedOut, wait_for
from graders.recovery.intervals import Interval, TargetVerdict, decide
from graders.recovery.outages import Episode, Injection
from graders.recovery.rto import measure_recovery
from graders.recovery.voids import starved

ALERT_AFTER_S = 1.0
BACKUP_WAIT_S = 60.0
_MARGIN_S = 3.0
_LOOK_S = 3.0


@dataclass(frozen=True)
class DrillPlan:
    """What to break, and what is done around it.

    `before` is called just before the fault, and gives facts for its record; `recovered` as soon as restore
    has ended with 0; `again` has things as they were, or says that it cannot. `cut_s` is for how
    long a recovery is waited for; else it is for longer than its target.
    """

    scenario: str
    phase: str
    fault: Callable[[], object]
    before: Callable[[], dict[str, object]] = dict
    recovered: Callable[[], None] = lambda: None
    again: Callable[[], bool] = lambda: False
    cut_s: float | None = None


@dataclass
class Lane:
    """A lane that is open; `ledger` is the one that is being written."""

    setting: LaneSetting
    prober: Prober
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
        return self.setting.live.kube

    @property
    def name(self) -> str:
        """The cluster."""
        return self.setting.live.name

    def now(self) -> float:
        """Seconds of the run."""
        return self.setting.recording.clock.now()

    def mark(self, name: str, **data: object) -> None:
        """Set a mark of this lane's track."""
        self.setting.recording.mark(self.setting.track, name, **data)

    def tell(self, detail: str) -> None:
        """Say what is being done."""
        self.setting.task.update(detail=detail)

    def take_turn(self) -> None:
        """Wait until no other lane is measured; the next drill, or the end of the lane, gives it back."""
        self.tell("waiting for its turn")
        self.setting.turn.take()

    def wait_until(self, t: float) -> None:
        """Wait for a moment of the run."""
        threading.Event().wait(max(0.0, t - self.now()))

    def look_at_objects(self, when: str) -> None:
        """Put on record what the objects of workload/ hold."""
        found = digests(self.kube, self.setting.manifests)
        self.setting.recording.writer.add(ObjectsLook(self.now(), when, found, self.name))

    def await_backups(self, count: int) -> bool:
        """Wait until so many are sealed in all; whether they are."""
        schedule, tries = self.schedule, self.schedule.tries + count + 2
        with suppress(TimedOut):
            wait_for(
                lambda: schedule.has_made(count, tries),
                timeout_s=BACKUP_WAIT_S * self.setting.scale,
                interval_s=0.05,
            )
        return len(schedule.backups.sealed) >= count

    def next_ledger(self) -> None:
        """Begin a new ledger: of the old one more was written than there is."""
        self._epochs += 1
        self.ledgers.close()
        name = f"{SERVING}-{self._epochs}"
        self.ledger = self.ledgers.enter_context(self.setting.new_ledger(name, self.key_of(name)))

    def left_so(self) -> bool:
        """Whether what fails now is what the runbook left: it ran, and the harness itself is well."""
        starvation, now = self.setting.starvation, self.now()
        well = starvation.alive and not self.prober.dead
        return self.restores > 0 and well and not starved(starvation.samples, now - LENIENCE_S, now)

    def restore(self, scenario: str, purpose: str, timeout_s: float) -> Ended:
        """Run the learner's restore."""
        self.restores += 1
        return self.scripts.run(
            "restore",
            (*self.setting.wanted.dr.restore, "--scenario", scenario),
            timeout_s,
            purpose=purpose,
            backups=self.schedule.backups.folder,
        )

    def verify(self, purpose: str) -> Ended:
        """Run the learner's verify."""
        return self.scripts.run(
            "verify",
            self.setting.wanted.dr.verify,
            LENIENCE_S * self.setting.scale,
            purpose=purpose,
            backups=self.schedule.backups.folder,
        )

    def drill(self, plan: DrillPlan) -> bool:
        """Break it, have it restored where that is for the learner's script, watch; whether all is well then.

        Writes and backups rest from the fault on, and no other lane is measured until steady state. A drill
        that decides nothing is done again, once or twice, if `again` can have things as they were.
        """
        measured: list[Interval | None] = []
        # What is cut has no target: whatever was measured of it decides.
        target_s = math.inf if plan.cut_s else self.rto_s(plan.scenario) * self.setting.scale
        while True:
            attempt = len(measured) + 1
            stable = self._drill_once(plan, attempt, measured)
            undecided = len(measured) == attempt and decide(measured, target_s) is TargetVerdict.REPEAT
            if not undecided or not plan.again():
                return stable

    def _drill_once(self, plan: DrillPlan, attempt: int, measured: list[Interval | None]) -> bool:
        """Do it once; whether all is stable then. Where restore gives up, nothing is measured."""
        scenario, names = plan.scenario, JUDGED_BY.get(plan.scenario, ())
        patience_s = (plan.cut_s or self.rto_s(scenario) + LENIENCE_S) * self.setting.scale
        key = plan.phase if attempt == 1 else f"{plan.phase}-{attempt}"
        restored, stable, turn = True, False, self.setting.turn
        with turn, self.schedule.halted(), self.ledger.held():
            facts = plan.before()
            self.tell(f"{scenario}, {key}")
            t0a = self.now()
            plan.fault()
            t0b = since = self.now()
            if scenario not in WITHOUT_RESTORE:
                self.wait_until(t0b + ALERT_AFTER_S)
                restored = self.restore(scenario, key, t0b + patience_s - self.now()).code == 0
                # What it did last may be what a recovery has to come after: W is watched from there on, too.
                since = self.now()
            if restored:
                plan.recovered()
                until = t0b + patience_s + STABLE_S * self.setting.scale + _MARGIN_S
                # A kind that a CRD defines is served a moment later than all others.
                if self._quiet(t0b, t0b + patience_s, names):
                    turn.give()
                    self.ledger_look(f"{key}: restored")
                stable = self.await_stable(until, *names, since=since, due=t0b + patience_s)
            turn.give()
            drill = self._drill(plan, attempt, (t0a, t0b), facts)
            self.setting.recording.writer.add(drill)
            if restored and scenario not in WITHOUT_RESTORE:
                self.verify(key)
            if restored:
                self.ledger_look(f"{key}: settled")
                self.look_at_objects(f"{key}: settled")
                measured.append(self._counts(drill, names))
        return stable

    def rto_s(self, scenario: str) -> float:
        """Within how many seconds a scenario is to be over, on a machine that keeps up."""
        return UNKNOWN_RTO_S if scenario == UNKNOWN else self.setting.wanted.target(scenario).rto_s

    def _counts(self, drill: Drill, names: Sequence[str]) -> Interval | None:
        """What a drill measured, None if it is void: whether to do it again hangs on that."""
        scale = self.setting.scale
        cut_s = drill.facts.get("cut_s")
        patience_s = cut_s if isinstance(cut_s, float) else self.rto_s(drill.scenario) + LENIENCE_S
        episode = Episode(
            Injection(drill.t, drill.t_end),
            deadline_s=patience_s * scale,
            ended=drill.watched,
            stable_s=STABLE_S * scale,
        )
        samples = self.prober.samples(drill.t - LENIENCE_S, drill.watched, *names)
        found = measure_recovery(episode, samples, self.setting.starvation.samples, dead=drill.dead)
        if found.voids:
            self.mark("void", phase=drill.key, why="; ".join(found.voids))
        return found.counts

    def _drill(
        self, plan: DrillPlan, attempt: int, injected: tuple[float, float], facts: dict[str, object]
    ) -> Drill:
        sealed = self.schedule.backups.sealed
        newest: dict[str, object] = {}
        if sealed:
            newest = {"newest": sealed[-1].id, "began": sealed[-1].began, "ended": sealed[-1].ended}
        dead = [] if self.setting.starvation.alive else ["the control of the processor"]
        return Drill(
            t=injected[0],
            t_end=injected[1],
            watched=self.now(),
            scenario=plan.scenario,
            phase=plan.phase,
            attempt=attempt,
            ledger=self.ledger.name,
            dead=(*self.prober.dead, *dead),
            facts={**facts, **newest, **({"cut_s": plan.cut_s} if plan.cut_s else {})},
            cluster=self.name,
        )

    def _quiet(self, since: float, until: float, names: Sequence[str]) -> bool:
        """Wait for the first moment of steady state; whether it comes."""
        try:
            wait_for(
                lambda: self.prober.quiet_for(0.0, *names, since=since),
                timeout_s=max(0.1, until - self.now()),
                interval_s=0.05,
            )
        except TimedOut:
            return False
        return True

    def ledger_look(self, when: str) -> None:
        """Look at the ledger; where nobody answers for a while, nothing of it is on record."""

        def look() -> None:
            try:
                self.ledger.look(when)
            except InfraFault as error:
                # An API server that has just started says 429 of kinds that a CRD defines.
                raise NotYet(error.problem) from error

        try:
            wait_for(look, timeout_s=_LOOK_S * self.setting.scale, interval_s=0.2)
        except TimedOut as mismatch:
            self.mark("no-look", when=when, why=str(mismatch))

    def await_stable(
        self, until: float, *names: str, since: float | None = None, due: float | None = None
    ) -> bool:
        """Wait until none of the probes failed for W, or until `until`; whether they are stable.

        One that fails after `due` has not recovered by then, whatever comes.
        """
        stable_s, begun = STABLE_S * self.setting.scale, self.now() if since is None else since

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
