"""A drill: something is broken, the learner's restore runs, and it is watched until all is stable."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graders.lab3.environment.lane import Lane
from graders.lab3.names import JUDGED_BY, LENIENCE_S, STABLE_S, WITHOUT_RESTORE
from graders.polling import TimedOut, wait_for
from graders.recovery.intervals import Interval, TargetVerdict, decide
from graders.recovery.outages import Episode, Injection
from graders.recovery.records import Drill
from graders.recovery.rto import measure_recovery

ALERT_AFTER_S = 1.0
_MARGIN_S = 3.0


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


def drill(lane: Lane, plan: DrillPlan) -> bool:
    """Break it, have it restored where that is for the learner's script, watch; whether all is well then.

    Writes and backups rest from the fault on, and no other lane is measured until steady state. A drill
    that decides nothing is done again, once or twice, if `again` can have things as they were.
    """
    measured: list[Interval | None] = []
    # What is cut has no target: whatever was measured of it decides.
    target_s = math.inf if plan.cut_s else lane.rto_s(plan.scenario) * lane.context.scale
    while True:
        attempt = len(measured) + 1
        stable = _drill_once(lane, plan, attempt, measured)
        undecided = len(measured) == attempt and decide(measured, target_s) is TargetVerdict.REPEAT
        if not undecided or not plan.again():
            return stable


def _drill_once(lane: Lane, plan: DrillPlan, attempt: int, measured: list[Interval | None]) -> bool:
    """Do it once; whether all is stable then. Where restore gives up, nothing is measured."""
    scenario, names = plan.scenario, JUDGED_BY.get(plan.scenario, ())
    patience_s = (plan.cut_s or lane.rto_s(scenario) + LENIENCE_S) * lane.context.scale
    key = plan.phase if attempt == 1 else f"{plan.phase}-{attempt}"
    restored, stable, turn = True, False, lane.context.turn
    with turn, lane.schedule.halted(), lane.ledger.held():
        facts = plan.before()
        lane.tell(f"{scenario}, {key}")
        t0a = lane.now()
        plan.fault()
        t0b = since = lane.now()
        if scenario not in WITHOUT_RESTORE:
            lane.wait_until(t0b + ALERT_AFTER_S)
            restored = lane.restore(scenario, key, t0b + patience_s - lane.now()).code == 0
            # What it did last may be what a recovery has to come after: W is watched from there on, too.
            since = lane.now()
        if restored:
            plan.recovered()
            until = t0b + patience_s + STABLE_S * lane.context.scale + _MARGIN_S
            # A kind that a CRD defines is served a moment later than all others.
            if _quiet(lane, t0b, t0b + patience_s, names):
                turn.give()
                lane.ledger_look(f"{key}: restored")
            stable = lane.await_stable(until, *names, since=since, due=t0b + patience_s)
        turn.give()
        done = _record(lane, plan, attempt, (t0a, t0b), facts)
        lane.context.recording.writer.add(done)
        if restored and scenario not in WITHOUT_RESTORE:
            lane.verify(key)
        if restored:
            lane.ledger_look(f"{key}: settled")
            lane.look_at_objects(f"{key}: settled")
            measured.append(_counts(lane, done, names))
    return stable


def _counts(lane: Lane, drill: Drill, names: Sequence[str]) -> Interval | None:
    """What a drill measured, None if it is void: whether to do it again hangs on that."""
    scale = lane.context.scale
    cut_s = drill.facts.get("cut_s")
    patience_s = cut_s if isinstance(cut_s, float) else lane.rto_s(drill.scenario) + LENIENCE_S
    episode = Episode(
        Injection(drill.t, drill.t_end),
        deadline_s=patience_s * scale,
        ended=drill.watched,
        stable_s=STABLE_S * scale,
    )
    samples = lane.prober.samples(drill.t - LENIENCE_S, drill.watched, *names)
    found = measure_recovery(episode, samples, lane.context.starvation.samples, dead=drill.dead)
    if found.voids:
        lane.mark("void", phase=drill.key, why="; ".join(found.voids))
    return found.counts


def _record(
    lane: Lane, plan: DrillPlan, attempt: int, injected: tuple[float, float], facts: dict[str, object]
) -> Drill:
    sealed = lane.schedule.backups.sealed
    newest: dict[str, object] = {}
    if sealed:
        newest = {"newest": sealed[-1].id, "began": sealed[-1].began, "ended": sealed[-1].ended}
    dead = [] if lane.context.starvation.alive else ["the control of the processor"]
    return Drill(
        t=injected[0],
        t_end=injected[1],
        watched=lane.now(),
        scenario=plan.scenario,
        phase=plan.phase,
        attempt=attempt,
        ledger=lane.ledger.name,
        dead=(*lane.prober.dead, *dead),
        facts={**facts, **newest, **({"cut_s": plan.cut_s} if plan.cut_s else {})},
        cluster=lane.name,
    )


def _quiet(lane: Lane, since: float, until: float, names: Sequence[str]) -> bool:
    """Wait for the first moment of steady state; whether it comes."""
    try:
        wait_for(
            lambda: lane.prober.quiet_for(0.0, *names, since=since),
            timeout_s=max(0.1, until - lane.now()),
            interval_s=0.05,
        )
    except TimedOut:
        return False
    return True
