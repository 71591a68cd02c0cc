"""What a runbook must do beside recovering: back up without a trace, tell good from bad, do no harm twice."""

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import CONTROL_PLANE, CONTROL_PLANE_LOSS, NAMESPACE, NAMESPACE_DELETED
from graders.model import Capability

_BACKUP_S = 10.0
_LOOK_ONLY = "Backup and verify look, and change nothing but objects named dr-*."
_LATER = "config-changed"
"""Older records do not have it."""
_AMISS = {
    "model-gone": "a Model of workload/ was gone",
    "secret-changed": "a Secret's data were changed",
    "config-changed": "a ConfigMap's data were changed",
    "scaled-to-zero": "the predictor was scaled to 0",
}


@check(
    "backups",
    tracks=(CONTROL_PLANE,),
    hint="Time dr/backup on a busy machine, and look at what it prints.",
)
def check_backups(bundle: Bundle, facts: Facts) -> None:
    """Each backup of the schedule is made in time, and nobody notices."""
    record = LaneRecord(bundle, CONTROL_PLANE)
    limit_s = _BACKUP_S * record.scale
    drills = record.drills(CONTROL_PLANE_LOSS)
    # One that the loss met is nobody's fault.
    runs = [
        each
        for each in record.runs("backup")
        if not any(each.t <= drill.t_end + 0.5 and each.t_end >= drill.t - 0.5 for drill in drills)
    ]
    facts["runs"] = len(runs)
    facts["longest_s"] = round(max((each.t_end - each.t for each in runs), default=0.0), 2)
    with Findings(f"each backup to exit 0 within {limit_s:g} s, and no probe to fail") as found:
        found.expect(runs, "a backup", "none was made")
        for each in runs:
            if each.code != 0:
                found.miss(f"a backup {each.how}: {each.said.strip()[-200:] or 'it printed nothing'}")
            elif each.t_end - each.t > limit_s:
                found.miss(f"a backup took {each.t_end - each.t:.1f} s")
            for what in record.changes_in(each):
                found.miss(f"a backup did {what}", hint=_LOOK_ONLY)
        begin = next((mark.t for mark in record.marks if mark.name == "backups-begin"), 0.0)
        until = drills[0].t if drills else max((each.t_end for each in runs), default=begin)
        bad = [each for each in record.failed(begin, until) if each.t_end is None or each.t_end < until]
        if bad:
            found.miss(
                f"{len(bad)} probes failed while backups were made, first {bad[0].probe}: {bad[0].error}"
            )


@check(
    "verify",
    tracks=(CONTROL_PLANE, NAMESPACE),
    needs=(Capability.ETCD_ACCESS,),
    hint="Compare each object of the newest good backup, and the addresses of the Service, not /readyz.",
)
def check_verify(bundle: Bundle, facts: Facts) -> None:
    """Your verify says yes after a recovery, and no when something is amiss."""
    record = LaneRecord(bundle, CONTROL_PLANE)
    with Findings("0 after the recovery, and not 0 when something is amiss") as found:
        good = record.run("verify", "random-phase")
        facts["good"] = good.code
        if good.code != 0:
            found.miss(f"after the recovery it {good.how}: {good.said.strip()[-200:]}")
        _after_a_namespace(LaneRecord(bundle, NAMESPACE), facts, found)
        tried = {each.purpose for each in record.runs("verify")}
        for purpose, amiss in _AMISS.items():
            if any(
                mark.name == "nothing-to-break" and mark.data["purpose"] == purpose for mark in record.marks
            ):
                found.miss(f"workload/ has nothing to try it with: {purpose}")
                continue
            if purpose == _LATER and "scaled-to-zero" in tried and purpose not in tried:
                continue
            run = record.run("verify", purpose)
            facts[purpose.replace("-", "_")] = run.code
            found.expect(run.code != 0, "not 0 when something is amiss", f"it exited with 0 when {amiss}")
        for run in record.runs("verify"):
            for what in record.changes_in(run):
                found.miss(f"it did {what}", hint=_LOOK_ONLY)


def _after_a_namespace(record: LaneRecord, facts: Facts, found: Findings) -> None:
    """Objects that were created again are others, and hold the same."""
    for drill in record.drills(NAMESPACE_DELETED):
        counts = record.measured(drill).counts
        whole = counts is not None and not counts.censored
        if not whole or record.changed_objects(f"{drill.key}: settled"):
            continue
        for run in record.runs("verify", drill.key):
            facts[f"namespace_{drill.key}".replace("-", "_")] = run.code
            if run.code != 0:
                last = run.said.strip()[-200:]
                found.miss(f"after the recovery of a namespace, which is whole again, it {run.how}: {last}")


@check(
    "idempotent",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Look before you restore: where data are present, a snapshot only loses what came after it.",
)
def check_idempotent(bundle: Bundle, facts: Facts) -> None:
    """A second restore, of a cluster that is well, does no harm."""
    record = LaneRecord(bundle, CONTROL_PLANE)
    mark = next((each for each in record.marks if each.name == "restored-again"), None)
    if mark is None:
        why = record.never("the loss before was not recovered from")
        raise Unmet("a recovered cluster to restore once more", why)
    with Findings("no probe to fail, and no record to be lost") as found:
        bad = record.failed(mark.data["began"], mark.data["ended"])
        facts["failed_probes"] = len(bad)
        if bad:
            found.miss(f"{len(bad)} probes failed, first {bad[0].probe}: {bad[0].error}")
        looks = record.looks("again")
        found.expect(looks, "records to be there", "nobody answered when they were looked for")
        for look in looks:
            there = record.restored(look)
            facts["lost"] = there.lost
            if there.lost or there.anomalies:
                told = ", ".join(there.anomalies[:3]) or "acknowledged ones"
                found.miss(
                    f"{there.lost} operations are lost, and {len(there.anomalies)} records wrong: {told}"
                )
