"""Whether a deleted namespace comes back: in time, with what was written, unnoticed by neighbours."""

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.losses import drills_of, judge_rpo, judge_rto
from graders.lab3.names import (
    DR_USER,
    LATE,
    MODELS_CRD,
    NAMESPACE,
    NAMESPACE_DELETED,
    NEIGHBOUR,
    OWN_PREFIX,
    RANDOM_PHASE,
    SERVING,
)
from graders.recovery.records import LedgerWrite, StarvationSample
from graders.recovery.voids import starved

_ANSWER_S = 1.0


@check(
    "namespace-rto",
    tracks=(NAMESPACE,),
    hint="What is created into a terminating namespace is refused: wait for its end, and no longer.",
)
def check_namespace_rto(bundle: Bundle, facts: Facts) -> None:
    """After the namespace and its CRD were deleted, all is back within your target."""
    judge_rto(bundle, facts, NAMESPACE, NAMESPACE_DELETED)


@check(
    "namespace-rpo",
    tracks=(NAMESPACE,),
    hint="Status is a request of its own, owners have new uids, long lists come in pages, Secrets are no "
    "ConfigMaps, and labels and annotations belong to an object.",
)
def check_namespace_rpo(bundle: Bundle, facts: Facts) -> None:
    """It is back with what was written, but for what your target allows to be lost."""
    judge_rpo(bundle, facts, NAMESPACE, NAMESPACE_DELETED)


@check(
    "namespace-neighbours",
    tracks=(NAMESPACE,),
    hint="Other namespaces have gone on: what is rolled back for this one is lost for them.",
)
def check_namespace_neighbours(bundle: Bundle, facts: Facts) -> None:
    """Others lose nothing, can go on all the time, and are not touched."""
    record = LaneRecord(bundle, NAMESPACE)
    with Findings("neighbours that notice nothing") as found:
        for phase in (RANDOM_PHASE, LATE):
            drill = drills_of(record, NAMESPACE_DELETED, phase)[-1]
            looks = record.looks(f"{phase}: neighbour")
            found.expect(looks, "the neighbour's records", f"nobody answers for {NEIGHBOUR}")
            for look in looks:
                there = record.restored(look)
                facts[f"{phase.replace('-', '_')}_lost"] = there.lost
                if there.lost or there.anomalies:
                    wrong = len(there.anomalies)
                    found.miss(f"{there.lost} operations of {NEIGHBOUR} are lost, {wrong} records wrong")
            slow = _unanswered(record, drill.t, drill.watched)
            if slow and not starved(bundle.records(StarvationSample), drill.t, drill.watched):
                found.miss(f"{len(slow)} writes to {NEIGHBOUR} were not answered in time")
        for event in _beyond(record):
            where = event.namespace or "no namespace"
            found.miss(f"{DR_USER} did {event.verb} {event.resource} {event.name} in {where}")


def _unanswered(record: LaneRecord, since: float, until: float) -> list[LedgerWrite]:
    """The neighbour's writes that got no answer in time; what the garbage collector takes has none."""
    return [
        each
        for each in record.bundle.records(LedgerWrite)
        if (each.ledger, each.cluster) == (NEIGHBOUR, record.cluster)
        and since <= each.t <= until
        and (each.t_end is None or each.t_end - each.t > _ANSWER_S * record.scale)
    ]


def _beyond(record: LaneRecord) -> list[AuditEvent]:
    """What the runbook wrote that is none of its business."""
    return [
        event
        for event in record.bundle.on(record.cluster).audit
        if event.user == DR_USER
        and event.is_write
        and event.namespace != SERVING
        and event.name not in (SERVING, MODELS_CRD)
        and not event.name.startswith(OWN_PREFIX)
        and not _creates(event)
        and event.group not in ("authentication.k8s.io", "authorization.k8s.io")
    ]


def _creates(event: AuditEvent) -> bool:
    """Whether it makes the namespace or the CRD: a POST has its name only in what it sends."""
    sent = event.request if isinstance(event.request, dict) else {}
    name = (sent.get("metadata") or {}).get("name") if isinstance(sent.get("metadata"), dict) else None
    return event.verb == "create" and not event.namespace and name in (SERVING, MODELS_CRD)
