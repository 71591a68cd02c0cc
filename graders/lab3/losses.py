"""Judging losses: in what time they were over, and what they cost. Pure."""

from __future__ import annotations

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.judging import Facts, Findings
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import CONTROLLER_LOSS, LATE, NODE_LOSS, POD_KILL, RANDOM_PHASE, WITHOUT_RESTORE
from graders.recovery.intervals import TargetVerdict, decide, shown
from graders.recovery.records import Drill
from graders.recovery.rto import RecoveryMeasurement
from graders.reports.text import one_line

_PHASES = (RANDOM_PHASE, LATE)
_IN_WORDS = {
    RANDOM_PHASE: "a loss at a random moment",
    LATE: "a loss just before the next backup",
    POD_KILL: "the loss of half of the pods",
    NODE_LOSS: "the loss of a zone",
    CONTROLLER_LOSS: "the loss of controllers and scheduler",
    "stopped": "a process that is stopped, and that nobody names,",
    "refused": "requests that are refused, nobody says why,",
}


def drills_of(record: LaneRecord, scenario: str, phase: str) -> list[Drill]:
    """The drills of a phase.

    Raises:
        Unmet: it never came to that.
    """
    found = [each for each in record.drills(scenario) if each.phase == phase]
    if not found:
        raise Unmet(
            f"{_IN_WORDS[phase]} to be recovered from",
            record.never("no backup was sealed, or the loss before was not recovered from"),
            hint="dr/backup has to exit 0 and dr/restore to bring the cluster back.",
        )
    return found


def judge_rto(
    bundle: Bundle, facts: Facts, track: str, scenario: str, phases: tuple[str, ...] = _PHASES
) -> None:
    """All phases of a scenario over within its target.

    Raises:
        Unmet: one was not. InfraFault: what was measured is void, or decides nothing.
    """
    record = LaneRecord(bundle, track)
    target_s = record.terms.rto_s[scenario] * record.scale
    facts["target_s"], facts["scale"] = round(target_s, 2), record.scale
    with Findings(f"recovery within {target_s:.1f} s each time") as found:
        for phase in phases:
            why = judge_drill(record, drills_of(record, scenario, phase), facts)
            if why:
                found.miss(f"{_IN_WORDS[phase]}: {why}")


def judge_drill(record: LaneRecord, drills: list[Drill], facts: Facts) -> str:
    """Why a fault, and its repetitions, missed the target; empty where it was met.

    Raises:
        InfraFault: what was measured is void, or decides nothing.
    """
    last = drills[-1]
    target_s = record.terms.rto_s[last.scenario] * record.scale
    measured = [record.measured(each) for each in drills]
    for each in measured:
        facts[f"{last.phase.replace('-', '_')}_s"] = [each.rto_s.lower_s, each.rto_s.upper_s]
    verdict = decide([each.counts for each in measured], target_s)
    if verdict in (TargetVerdict.UNGRADED, TargetVerdict.REPEAT):
        voids = "; ".join(void for each in measured for void in each.voids)
        raise InfraFault(f"{last.phase}: {voids or 'the target lies within what was measured'}")
    return _why_late(record, last, measured[-1]) if verdict is TargetVerdict.MISSED else ""


def _why_late(record: LaneRecord, drill: Drill, measured: RecoveryMeasurement) -> str:
    run = record.restore_of(drill)
    if drill.scenario not in WITHOUT_RESTORE and (run is None or run.code != 0):
        return f"restore {run.how if run is not None else 'was not started'}"
    return f"it took {shown([measured.rto_s])}{_failed_last(drill, measured)}"


def _failed_last(drill: Drill, measured: RecoveryMeasurement) -> str:
    """Which probe was the last to fail, and why."""
    bad = [(each.last_bad, each.spec.name) for each in measured.outages if each.last_bad is not None]
    if not bad:
        return ""
    sample, name = max(bad, key=lambda each: each[0].t)
    why = f": {one_line(sample.error)[:160]}" if sample.error else ""
    return f"; the last to fail, {sample.t - drill.t_end:.1f} s after the fault, was probe {name}{why}"


def judge_rpo(bundle: Bundle, facts: Facts, track: str, scenario: str) -> None:
    """All phases of a scenario recovered with no more lost than its target allows, and nothing else amiss.

    Raises:
        Unmet: more was lost, or what came back never was. InfraFault: nothing came back, and the machine was
            too busy.
    """
    record = LaneRecord(bundle, track)
    target_s = record.manifest.target(scenario).rpo_s * record.scale
    with Findings(f"at most {target_s:.1f} s of writes lost each time, and a state that was") as found:
        for phase in _PHASES:
            drill = drills_of(record, scenario, phase)[-1]
            looks = [
                each for when in ("restored", "settled") for each in record.looks(f"{drill.key}: {when}")
            ]
            if not looks and (voids := record.measured(drill).voids):
                raise InfraFault(f"{drill.key}: {'; '.join(voids)}")
            if not looks:
                found.miss(f"{_IN_WORDS[phase]}: restore did not end with 0, so nothing is known to be back")
            elif looks[-1].when != f"{drill.key}: settled":
                found.miss(f"{_IN_WORDS[phase]}: nobody answered for its records once it was recovered")
            for look in looks:
                there = record.restored(look)
                loss_s = there.loss_s(drill)
                facts[f"{look.when.replace(': ', '_').replace('-', '_')}_loss_s"] = [
                    loss_s.lower_s,
                    loss_s.upper_s,
                ]
                facts[f"{look.when.replace(': ', '_').replace('-', '_')}_lost"] = there.lost
                if there.anomalies:
                    told = ", ".join(there.anomalies[:5])
                    found.miss(
                        f"{_IN_WORDS[phase]}: {len(there.anomalies)} records are in no state that was: {told}"
                    )
                elif not loss_s.within(target_s):
                    found.miss(f"{_IN_WORDS[phase]}: {shown([loss_s])} of writes are lost")
            for path in record.changed_objects(f"{drill.key}: settled") if looks else ():
                found.miss(f"{_IN_WORDS[phase]}: {path} is not what it was")
