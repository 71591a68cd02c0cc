"""Judging recovery objectives: in what time a fault was over, and what it cost."""

from collections.abc import Iterator

from graders.faults import InfraFault
from graders.judging import Facts
from graders.recovery.intervals import TargetVerdict, decide, shown
from graders.recovery.records import Drill
from graders.recovery.recoveryrecord import RecoveryRecord
from graders.recovery.rto import RecoveryMeasurement
from graders.reports.text import one_line


def judge_drill(record: RecoveryRecord, drills: list[Drill], facts: Facts) -> str:
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


def _why_late(record: RecoveryRecord, drill: Drill, measured: RecoveryMeasurement) -> str:
    run = record.restore_of(drill)
    if drill.scenario not in record.terms.unaided and (run is None or run.code != 0):
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


def losses(record: RecoveryRecord, drill: Drill, target_s: float, facts: Facts) -> Iterator[str]:
    """What is wrong with what came back after a fault: more is lost than `target_s` allows, or it never was.

    Raises:
        InfraFault: nothing came back, and the machine was too busy.
    """
    settled = f"{drill.key}: settled"
    looks = [each for when in ("restored", "settled") for each in record.looks(f"{drill.key}: {when}")]
    if not looks and (voids := record.measured(drill).voids):
        raise InfraFault(f"{drill.key}: {'; '.join(voids)}")
    if not looks:
        yield "restore did not end with 0, so nothing is known to be back"
    elif looks[-1].when != settled:
        yield "nobody answered for its records once it was recovered"
    for look in looks:
        there = record.restored(look)
        loss_s = there.loss_s(drill)
        fact = look.when.replace(": ", "_").replace("-", "_")
        facts[f"{fact}_loss_s"] = [loss_s.lower_s, loss_s.upper_s]
        facts[f"{fact}_lost"] = there.lost
        if there.anomalies:
            told = ", ".join(there.anomalies[:5])
            yield f"{len(there.anomalies)} records are in no state that was: {told}"
        elif not loss_s.within(target_s):
            yield f"{shown([loss_s])} of writes are lost"
    for path in record.changed_objects(settled) if looks else ():
        yield f"{path} is not what it was"
