"""Whether a lost control plane comes back: in time, with what was written, and so that clients notice."""

from __future__ import annotations

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord, shown
from graders.lab3.names import CONTROL_PLANE, CONTROL_PLANE_LOSS
from graders.lab3.records import Drill
from graders.lab3.recovery.intervals import Interval, TargetVerdict, decide
from graders.model import Capability

_PHASES = ("random-phase", "late")
_IN_WORDS = {"random-phase": "a loss at a random moment", "late": "a loss just before the next backup"}
_ALL_BACK_S = {"deployment_s": 5.0, "garbage_s": 10.0}


def drills_of(record: LaneRecord, scenario: str, phase: str) -> list[Drill]:
    """The drills of a phase.

    Raises:
        Unmet: it never came to that.
    """
    found = [each for each in record.drills(scenario) if each.phase == phase]
    if not found:
        raise Unmet(
            f"{_IN_WORDS[phase]} to be recovered from",
            "it never came to that: no backup was sealed, or the loss before was not recovered from",
            hint="dr/backup has to exit 0 and dr/restore to bring the cluster back.",
        )
    return found


def judge_rto(bundle: Bundle, facts: Facts, track: str, scenario: str) -> None:
    """All phases of a scenario over within its target.

    Raises:
        Unmet: one was not. InfraFault: what was measured is void, or decides nothing.
    """
    record = LaneRecord(bundle, track)
    target_s = record.manifest.target(scenario).rto_s * record.scale
    facts["target_s"], facts["scale"] = round(target_s, 2), record.scale
    with Findings(f"recovery within {target_s:.1f} s each time") as found:
        for phase in _PHASES:
            measured = [record.measured(each) for each in drills_of(record, scenario, phase)]
            counted = [each.counts for each in measured]
            for each in measured:
                facts[f"{phase.replace('-', '_')}_s"] = [each.rto_s.lower_s, each.rto_s.upper_s]
            verdict = decide(counted, target_s)
            if verdict in (TargetVerdict.UNGRADED, TargetVerdict.REPEAT):
                why = "; ".join(void for each in measured for void in each.voids)
                raise InfraFault(f"{_IN_WORDS[phase]}: {why or 'the target lies within what was measured'}")
            if verdict is TargetVerdict.MISSED:
                last = drills_of(record, scenario, phase)[-1]
                found.miss(f"{_IN_WORDS[phase]}: {_why_late(record, last, measured[-1].rto_s)}")


def _why_late(record: LaneRecord, drill: Drill, rto_s: Interval) -> str:
    run = record.restore_of(drill)
    if run is None or run.code != 0:
        return f"restore {run.how if run is not None else 'was not started'}"
    return f"it took {shown([rto_s])}"


def judge_rpo(bundle: Bundle, facts: Facts, track: str, scenario: str) -> None:
    """All phases of a scenario recovered with no more lost than its target allows, and nothing else amiss.

    Raises:
        Unmet: more was lost, or what came back never was.
    """
    record = LaneRecord(bundle, track)
    target_s = record.manifest.target(scenario).rpo_s * record.scale
    with Findings(f"at most {target_s:.1f} s of writes lost each time, and a state that was") as found:
        for phase in _PHASES:
            drill = drills_of(record, scenario, phase)[-1]
            looks = [each for when in ("restored", "settled") for each in record.looks(f"{phase}: {when}")]
            if not looks:
                found.miss(f"{_IN_WORDS[phase]}: restore did not end with 0, so nothing is known to be back")
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
            for path in record.changed_objects(f"{phase}: settled") if looks else ():
                found.miss(f"{_IN_WORDS[phase]}: {path} is not what it was")


@check(
    "control-plane-rto",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="`kubeproof grade lab3 DIR --only control-plane-rto --keep`, and read the log of dr/restore.",
)
def check_control_plane_rto(bundle: Bundle, facts: Facts) -> None:
    """After the loss of etcd's data and the API server, all is back within your target."""
    judge_rto(bundle, facts, CONTROL_PLANE, CONTROL_PLANE_LOSS)


@check(
    "control-plane-rpo",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Restore the newest backup that is whole, and all of it.",
)
def check_control_plane_rpo(bundle: Bundle, facts: Facts) -> None:
    """It is back with what was written, but for what your target allows to be lost."""
    judge_rpo(bundle, facts, CONTROL_PLANE, CONTROL_PLANE_LOSS)


@check(
    "watches",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="etcdutl snapshot restore has --bump-revision and --mark-compacted: clients hold revisions that the "
    "snapshot does not know.",
)
def check_watches(bundle: Bundle, facts: Facts) -> None:
    """Clients that lived through the loss learn of it, or of what comes next."""
    record = LaneRecord(bundle, CONTROL_PLANE)
    drills_of(record, CONTROL_PLANE_LOSS, "late")
    client = next((mark.data for mark in record.marks if mark.name == "client"), None)
    with Findings("clients that go on where they were") as found:
        if client is None or client["problem"]:
            why = client["problem"] if client is not None else "restore did not end with 0"
            found.miss(f"there was nothing to see: {why}")
            return
        facts.update({key: client[key] for key in ("listed", "after", "watch", *_ALL_BACK_S)})
        found.expect(
            client["after"] >= client["listed"],
            "a list not older than one before the loss",
            f"the list says revision {client['after']}, and before the loss one said {client['listed']}",
        )
        found.expect(
            client["watch"] in ("gone", "write"),
            "a watch from before the loss to end with 410, or to tell of a write, within 5 s",
            f"a watch from before the loss is {client['watch']}",
        )
        for name, limit_s in _ALL_BACK_S.items():
            took_s, what = client[name], _CLIENT[name]
            late = took_s is None or took_s > limit_s * record.scale
            told = "never" if took_s is None else f"after {took_s:.1f} s"
            found.expect(not late, f"{what} within {limit_s:g} s", f"{what} {told}")


_CLIENT = {"deployment_s": "a new Deployment ready", "garbage_s": "what a deleted owner owned gone"}
