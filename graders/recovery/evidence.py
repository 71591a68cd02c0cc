"""A drill as a file of evidence: written from the record, and the intervals that it gives.

Times count from t0a.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from graders.documents import Strict
from graders.documents.fields import Seconds, Text
from graders.recovery.intervals import NOTHING, Interval, largest
from graders.recovery.outages import Episode, Injection, probe_outage
from graders.recovery.probes import CANARY, SERVING, ProbeSpec
from graders.recovery.records import Drill, LedgerWrite, ProbeSample, RestoredRecord, ScriptRun
from graders.recovery.recoveryrecord import RecoveryRecord

_LEAD_S = 5.0
"""How long before a fault samples belong to its evidence."""
_ANSWER_S = 1.0
"""For how long a write that a backup holds may have gone without an answer."""
Slot = Annotated[list[float | bool | None], Field(min_length=3, max_length=3)]


class _Restore(Strict):
    started: float
    ended: float
    exit: int | None


class _Backup(Strict):
    id: Text
    started: float
    ended: float


class _Ledger(Strict):
    acked: dict[str, float]
    present: list[int]


class RecoveryEvidence(Strict):
    """One drill: a slot is `[sent, received or null, ok]`; `ledger` numbers records that were not deleted.

    A lab says which schema is its own.
    """

    declared: Annotated[str, Field(alias="schema")]
    scenario: Text
    interval_s: Seconds
    injected: Annotated[list[float], Field(min_length=2, max_length=2)]
    restore: _Restore | None
    probes: Annotated[dict[str, list[Slot]], Field(min_length=1)]
    backups: list[_Backup]
    ledger: _Ledger


@dataclass(frozen=True)
class Drilled:
    """What a drill measured."""

    rto_s: Interval
    rpo_s: Interval
    records_lost: int


def drilled(evidence: RecoveryEvidence, deadline_s: float, stable_s: float) -> Drilled:
    """The intervals that a drill gives, by the grader's own rules, with W and a deadline.

    Raises:
        ValueError: its times contradict each other.
    """
    t0a, t0b = evidence.injected
    ended = max((float(slot[0] or 0.0) for slots in evidence.probes.values() for slot in slots), default=t0b)
    restored = evidence.restore is None or evidence.restore.exit == 0
    episode = Episode(Injection(t0a, t0b), deadline_s, ended, stable_s, restored=restored)
    outages = []
    for name, slots in evidence.probes.items():
        spec = CANARY if name == CANARY.name else ProbeSpec(name, every_s=evidence.interval_s)
        outages.append(probe_outage(spec, _samples(name, slots), episode))
    rto_s = largest(each.rto_s for each in outages)
    if not restored:
        rto_s = Interval(rto_s.lower_s, None)
    acked = sorted((t, int(number)) for number, t in evidence.ledger.acked.items())
    present = set(evidence.ledger.present)
    lost = [(t, number) for t, number in acked if number not in present]
    return Drilled(rto_s, _loss(acked, lost, Injection(t0a, t0b)), len(lost))


def _loss(acked: list[tuple[float, int]], lost: list[tuple[float, int]], injection: Injection) -> Interval:
    if not lost:
        return NOTHING
    first = lost[0][0]
    lower = max(0.0, injection.t0a - first)
    kept = [t for t, _ in acked if t < first]
    return Interval(lower, max(lower, injection.t0b - kept[-1]) if kept else None)


def not_restored(evidence: RecoveryEvidence, backup: str) -> str:
    """Why what is there cannot be of the backup of that name; empty if it can.

    A record that is there was sent before the backup was over, one that is lost was answered after it began.
    """
    found = next((each for each in evidence.backups if each.id == backup), None)
    if found is None:
        return f"the evidence has no backup {backup!r}"
    present = set(evidence.ledger.present)
    for number, acked in evidence.ledger.acked.items():
        if int(number) in present and acked > found.ended + _ANSWER_S:
            return f"backup {backup} was over before record {number} was written, which is there again"
        if int(number) not in present and acked < found.started:
            return f"backup {backup} was begun after record {number} was written, which is lost"
    return ""


def _samples(name: str, slots: list[Slot]) -> list[ProbeSample]:
    return [
        ProbeSample(
            t=float(sent or 0.0),
            t_end=None if received is None else float(received),
            probe=name,
            slot=number,
            due=float(sent or 0.0),
            ok=bool(ok),
        )
        for number, (sent, received, ok) in enumerate(slots)
    ]


def evidence_written(record: RecoveryRecord, drill: Drill, schema: str) -> dict[str, Any]:
    """The evidence of a drill, as a file holds it."""
    run = record.restore_of(drill)
    judged_by = record.terms.judged_by.get(drill.scenario, ())
    samples = record.samples(drill.t - _LEAD_S, drill.watched)

    def since(t: float) -> float:
        return round(t - drill.t, 4)

    return {
        "schema": schema,
        "scenario": drill.scenario,
        "interval_s": SERVING.every_s,
        "injected": [0.0, since(drill.t_end)],
        "restore": {"started": since(run.t), "ended": since(run.t_end), "exit": run.code} if run else None,
        "probes": {
            spec.name: [
                [since(each.t), since(each.t_end) if each.t_end is not None else None, not spec.failed(each)]
                for each in slots
            ]
            for spec, slots in samples.items()
            if not judged_by or spec.name in judged_by
        },
        "backups": [
            {"id": each.backup, "started": since(each.t), "ended": since(each.t_end)}
            for each in record.runs("backup")
            if _before(each, drill)
        ],
        "ledger": _ledger(record, drill),
    }


def _before(run: ScriptRun, drill: Drill) -> bool:
    return bool(run.backup) and run.t_end <= drill.t


def _ledger(record: RecoveryRecord, drill: Drill) -> dict[str, Any]:
    """The records that had been acknowledged and not deleted, numbered in their order, and those found."""
    bundle = record.bundle
    writes = [
        each
        for each in bundle.records(LedgerWrite)
        if (each.ledger, each.cluster) == (drill.ledger, record.cluster) and each.t <= drill.t
    ]
    deleted = {(each.kind, each.name) for each in writes if each.verb == "delete"}
    made = [
        each
        for each in sorted(writes, key=lambda write: write.t)
        if each.verb == "create" and each.t_end is not None and (each.kind, each.name) not in deleted
    ]
    looks = record.looks(f"{drill.key}: settled")
    found = {
        (each.kind, each.name, each.part)
        for each in bundle.records(RestoredRecord)
        if looks and (each.t, each.ledger) == (looks[0].t, looks[0].ledger)
    }
    numbered = list(enumerate(made, start=1))
    return {
        "acked": {str(number): round((each.t_end or 0.0) - drill.t, 4) for number, each in numbered},
        "present": [number for number, each in numbered if (each.kind, each.name, each.part) in found],
    }
