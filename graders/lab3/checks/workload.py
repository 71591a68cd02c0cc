"""Whether the workload survives what is lost around it, and the runbook what nobody names."""

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.losses import drills_of, judge_rto
from graders.lab3.names import CONTROLLER_LOSS, LEFT, NODE_LOSS, POD_KILL, SERVING, UNKNOWN, WORKLOAD
from graders.model import Capability
from graders.recovery.objectives import judge_drill
from graders.recovery.records import Drill

_GRANTED = 201
_LEAST = 2
_BACK_S = 20.0
_FAULTS = {
    "etcd stopped": "etcd was stopped, its data whole",
    "kube-scheduler stopped": "the scheduler was stopped",
    "raise_nospace": "etcd refused writes for want of space",
    "fail_closed": "a webhook for pods failed closed",
}


@check(
    "pod-kill", tracks=(WORKLOAD,), hint="Have more replicas than are needed, and let a controller own them."
)
def check_pod_kill(bundle: Bundle, facts: Facts) -> None:
    """With half of its pods killed the predictor serves on, or again within your target."""
    judge_rto(bundle, facts, WORKLOAD, POD_KILL, (POD_KILL,))


@check("eviction", tracks=(WORKLOAD,), hint="A PodDisruptionBudget grants evictions one after the other.")
def check_eviction(bundle: Bundle, facts: Facts) -> None:
    """Evictions are granted, and never so many that fewer than two pods are left."""
    record = LaneRecord(bundle, WORKLOAD)
    marks = {mark.name: mark for mark in record.marks}
    if "evicting" not in marks or "evicted" not in marks:
        raise InfraFault("the record of the evictions is not whole")
    codes = [code for mark in record.marks if mark.name == "evictions" for code in mark.data["codes"]]
    since, until = marks["evicting"].t, marks["evicted"].t
    fewest = _fewest(bundle, record, since, until)
    facts["granted"], facts["fewest"] = codes.count(_GRANTED), fewest
    with Findings("evictions granted, and two pods left at each moment") as found:
        found.expect(_GRANTED in codes, "an eviction granted within 15 s", "none was granted")
        found.expect(
            fewest >= _LEAST,
            "two pods that nobody deletes",
            f"at one moment {fewest} pods were not being deleted",
        )


def _fewest(bundle: Bundle, record: LaneRecord, since: float, until: float) -> int:
    """The fewest pods of the predictor, at any moment, that were ready and not being deleted."""
    asked = next(mark.data["pods"] for mark in record.marks if mark.name == "evicting")
    prefix = {name.rpartition("-")[0].rpartition("-")[0] for name in asked}
    alive: set[str] = set()
    fewest: int | None = None
    for event in bundle.on(record.cluster).watch_events:
        if (event.resource, event.namespace) != ("pods", SERVING) or event.t > until:
            continue
        if event.name.rpartition("-")[0].rpartition("-")[0] not in prefix:
            continue
        if event.t >= since and fewest is None:
            fewest = len(alive)
        going = event.type == "DELETED" or "deletionTimestamp" in event.object.get("metadata", {})
        (alive.discard if going else alive.add)(event.uid)
        if event.t >= since and fewest is not None:
            fewest = min(fewest, len(alive))
    return len(alive) if fewest is None else fewest


@check(
    "node-loss",
    tracks=(WORKLOAD,),
    hint="Pods wait five minutes for a lost node unless their tolerations say less.",
)
def check_node_loss(bundle: Bundle, facts: Facts) -> None:
    """With a zone lost the predictor is whole again within your target, and when the zone is back."""
    judge_rto(bundle, facts, WORKLOAD, NODE_LOSS, (NODE_LOSS,))
    record = LaneRecord(bundle, WORKLOAD)
    back = next((mark.data for mark in record.marks if mark.name == "zone-back"), None)
    if back is None:
        raise InfraFault("the record does not say what became of the zone")
    facts["back_s"] = back["all_ready_s"]
    if back["all_ready_s"] is None:
        raise Unmet(
            f"all replicas ready within {_BACK_S:g} s after the zone was back",
            "they were not",
            hint="Look at its pods.",
        )


@check(
    "controller-loss",
    tracks=(WORKLOAD,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Nothing is lost but processes: start them, and restore nothing.",
)
def check_controller_loss(bundle: Bundle, facts: Facts) -> None:
    """With controllers and scheduler lost, they are back within your target, and no record is lost."""
    judge_rto(bundle, facts, WORKLOAD, CONTROLLER_LOSS, (CONTROLLER_LOSS,))
    with Findings("no record to be lost") as found:
        record = LaneRecord(bundle, WORKLOAD)
        for drill in record.drills(CONTROLLER_LOSS):
            _nothing_lost(record, drill.key, found)


@check(
    "unseen-safe",
    tracks=(WORKLOAD,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Look before you restore, and exit with 0 only when all is well.",
)
def check_unseen_safe(bundle: Bundle, facts: Facts) -> None:
    """Where nobody says what happened, no record is lost, and nothing is called recovered that is not."""
    record = LaneRecord(bundle, WORKLOAD)
    with Findings("no record lost, and no claim that is not so") as found:
        for drill in [each for phase in ("stopped", "refused") for each in drills_of(record, UNKNOWN, phase)]:
            facts[drill.phase] = str(drill.facts["fault"])
            run = record.restore_of(drill)
            if run is None or run.code != 0:
                # Who gives up may have lost something before.
                _nothing_lost(record, drill.phase, found, LEFT)
                continue
            _nothing_lost(record, drill.key, found)
            late = [
                each
                for each in record.failed(run.t_end + 10.0 * record.scale, drill.watched)
                if each.t > run.t_end
            ]
            found.expect(
                not late,
                "steady state from 10 s after a restore that ends with 0",
                f"{_told(drill)}, restore ended with 0, and {len(late)} probes failed over 10 s later",
            )


@check(
    "unseen-stopped", tracks=(WORKLOAD,), needs=(Capability.ETCD_ACCESS,), hint="Look at CLUSTER_CTL status."
)
def check_unseen_stopped(bundle: Bundle, facts: Facts) -> None:
    """A process that is stopped, and that nobody names, runs again within 30 s."""
    _recovers(bundle, facts, "stopped")


@check(
    "unseen-refused",
    tracks=(WORKLOAD,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Try what does not work, and read why.",
)
def check_unseen_refused(bundle: Bundle, facts: Facts) -> None:
    """What keeps requests from being granted, and nobody names, is out of the way within 30 s."""
    _recovers(bundle, facts, "refused")


def _recovers(bundle: Bundle, facts: Facts, phase: str) -> None:
    record = LaneRecord(bundle, WORKLOAD)
    drills = drills_of(record, UNKNOWN, phase)
    facts["fault"] = str(drills[-1].facts["fault"])
    with Findings("steady state within 30 s") as found:
        why = judge_drill(record, drills, facts)
        if why:
            found.miss(f"{_told(drills[-1])}: {why}")


def _told(drill: Drill) -> str:
    return _FAULTS.get(str(drill.facts["fault"]), str(drill.facts["fault"]))


def _nothing_lost(record: LaneRecord, phase: str, found: Findings, *whens: str) -> None:
    """Nothing that was acknowledged is missing, at each look and at one at least."""
    looks = [look for when in whens or ("restored", "settled") for look in record.looks(f"{phase}: {when}")]
    if not looks:
        found.miss(f"{phase}: nobody answered for the records afterwards")
    for look in looks:
        there = record.restored(look)
        if there.lost or there.anomalies:
            told = ", ".join(there.anomalies[:3]) or "acknowledged ones"
            found.miss(
                f"{phase}: {there.lost} operations are lost, and {len(there.anomalies)} records wrong: {told}"
            )
