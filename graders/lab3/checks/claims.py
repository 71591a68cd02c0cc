"""Whether what a learner claims of recoveries is what the evidence says, and what was measured here."""

from graders.documents import Document, parse
from graders.evidence.bundle import Bundle
from graders.evidence.handedin import unmet
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.documents.evidence import DrillEvidence
from graders.lab3.documents.handedin import Lab3Files
from graders.lab3.documents.report import ReportedRecovery, read_report
from graders.lab3.drills import LANE_OF
from graders.lab3.handin import RecoveryTarget
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import (
    CONTROL_PLANE,
    CONTROL_PLANE_LOSS,
    JUDGED_BY,
    LENIENCE_S,
    NAMESPACE,
    NAMESPACE_DELETED,
    PAPERS,
    STABLE_S,
    WORKLOAD,
)
from graders.recovery.evidence import drilled, not_restored
from graders.recovery.intervals import Interval, shown
from graders.recovery.probes import CANARY, CAPACITY, SERVING, WRITE
from graders.recovery.records import Drill

_TOLERANCE_S = 0.2
_ALL_PROBES = tuple(spec.name for spec in (WRITE, SERVING, CAPACITY, CANARY))
_FROM_BACKUP = (CONTROL_PLANE_LOSS, NAMESPACE_DELETED)


@check(
    "claims",
    tracks=(PAPERS, CONTROL_PLANE, NAMESPACE, WORKLOAD),
    hint="Make the evidence with `kubeproof drill`, and write into the report what it says.",
)
def check_claims(bundle: Bundle, facts: Facts) -> None:
    """What you claim of your recoveries is what your evidence says, and not better than what was measured."""
    handin = Lab3Files(bundle)
    with (
        unmet("a report and evidence that can be read"),
        Findings("claims that evidence and measurement bear out") as found,
    ):
        recoveries = read_report(handin).front.recoveries
        for name in LANE_OF:
            if name not in {each.scenario for each in recoveries}:
                found.miss(f"the report says nothing of a recovery from {name}")
        for told in recoveries:
            if told.scenario not in LANE_OF:
                found.miss(f"there is no scenario {told.scenario}")
                continue
            target = handin.manifest.target(told.scenario)
            _agrees_with_evidence(handin, told, target, found)
            _agrees_with_measurement(bundle, told, target, facts, found)


def _agrees_with_evidence(
    handin: Lab3Files, told: ReportedRecovery, target: RecoveryTarget, found: Findings
) -> None:
    data = handin.json(told.evidence)
    evidence = parse(Document(data, {}, told.evidence), DrillEvidence)
    try:
        there = drilled(evidence, target.rto_s + LENIENCE_S, STABLE_S)
    except (ValueError, TypeError) as error:
        raise Unmet("evidence as `kubeproof drill` writes it", f"{told.evidence}: {error}") from error
    for probe in JUDGED_BY.get(told.scenario, _ALL_PROBES):
        if probe not in evidence.probes:
            found.miss(f"{told.evidence} has no probe {probe}, which {told.scenario} is judged by")
    if evidence.scenario != told.scenario:
        found.miss(f"{told.evidence} is of {evidence.scenario}, not of {told.scenario}")
    for what, claimed, measured in (
        ("rto_s", told.rto_s, there.rto_s),
        ("rpo_s", told.rpo_s, there.rpo_s),
    ):
        if not _alike(claimed, measured):
            bounds = [round(measured.lower_s, 2), measured.upper_s and round(measured.upper_s, 2)]
            found.miss(f"{told.scenario}: {what} is said to be {claimed}, and the evidence says {bounds}")
    met = there.rto_s.within(target.rto_s) and there.rpo_s.within(target.rpo_s)
    for what, said, is_so in (
        ("records_lost", told.records_lost, there.records_lost),
        ("probe_interval_s", told.probe_interval_s, evidence.interval_s),
        ("met", told.met, met),
        ("stabilisation_s", told.stabilisation_s, STABLE_S),
    ):
        if said != is_so:
            found.miss(f"{told.scenario}: {what} is said to be {said}, and it is {is_so}")
    recovered = evidence.restore is not None and evidence.restore.exit == 0
    named = told.backup_id or (told.scenario in _FROM_BACKUP and recovered)
    if told.backup_id and evidence.restore is None:
        found.miss(
            f"{told.scenario}: backup {told.backup_id} is said to have been restored, and in the evidence no "
            "restore was started",
            hint='Where nothing was restored, backup_id is "".',
        )
    elif named and (why := not_restored(evidence, told.backup_id)):
        found.miss(f"{told.scenario}: {why}")


def _agrees_with_measurement(
    bundle: Bundle, told: ReportedRecovery, target: RecoveryTarget, facts: Facts, found: Findings
) -> None:
    record = LaneRecord(bundle, LANE_OF[told.scenario])
    drills = record.drills(told.scenario)
    if told.met and not drills:
        found.miss(f"{told.scenario} is said to be met, and here {record.never('no backup was sealed')}")
    for drill in drills:
        if told.met:
            _loses_no_more(record, drill, target, found)
        measured = record.measured(drill).counts
        if measured is None:
            continue
        facts[f"{drill.key.replace('-', '_')}_lower_s"] = round(measured.lower_s, 2)
        most_s = None if told.rto_s[1] is None else (2 * told.rto_s[1] + 5.0) * record.scale
        if most_s is not None and measured.lower_s > most_s:
            claimed, over = f"{told.rto_s[1]:g} s are claimed", f"it took over {measured.lower_s:.1f} s"
            found.miss(f"{told.scenario}: {claimed}, and here {over}")
        if told.met and measured.lower_s > target.rto_s * record.scale:
            found.miss(f"{told.scenario} is said to be met, and here it took over {measured.lower_s:.1f} s")
        elif told.met and measured.censored:
            run = record.restore_of(drill)
            how = f": restore {run.how}" if run is not None else ""
            found.miss(f"{told.scenario} is said to be met, and here it was not recovered from{how}")


def _loses_no_more(record: LaneRecord, drill: Drill, target: RecoveryTarget, found: Findings) -> None:
    """Who says that a target is met says that of what it may cost, too."""
    most_s = target.rpo_s * record.scale
    for look in record.looks(f"{drill.key}: settled"):
        loss_s = record.restored(look).loss_s(drill)
        if loss_s.censored or loss_s.lower_s > most_s:
            told = f"and here {shown([loss_s])} of writes are lost"
            found.miss(f"{drill.scenario} is said to lose at most {most_s:g} s, {told}")


def _alike(claimed: list[float | None], measured: Interval) -> bool:
    lower, upper = claimed
    if (upper is None) != measured.censored or lower is None:
        return False
    near = abs(lower - measured.lower_s) <= _TOLERANCE_S
    return near and (upper is None or abs(upper - (measured.upper_s or 0.0)) <= _TOLERANCE_S)
