"""A drill on record, `evidence/<scenario>.json`, and the intervals that it gives. Times count from t0a."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from graders.documents import Strict
from graders.documents.fields import Seconds, Text
from graders.lab3.names import LENIENCE_S, STABLE_S
from graders.recovery.intervals import NOTHING, Interval, largest
from graders.recovery.outages import Episode, Injection, probe_outage
from graders.recovery.probes import CANARY, ProbeSpec
from graders.recovery.records import ProbeSample

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


class DrillEvidence(Strict):
    """One drill: a slot is `[sent, received or null, ok]`; `ledger` numbers records that were not deleted."""

    declared: Annotated[Literal["kubeproof/lab3-drill/v1"], Field(alias="schema")]
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


def drilled(evidence: DrillEvidence, target_s: float) -> Drilled:
    """The intervals that a drill gives, by the grader's own rules.

    Raises:
        ValueError: its times contradict each other.
    """
    t0a, t0b = evidence.injected
    ended = max((float(slot[0] or 0.0) for slots in evidence.probes.values() for slot in slots), default=t0b)
    restored = evidence.restore is None or evidence.restore.exit == 0
    episode = Episode(Injection(t0a, t0b), target_s + LENIENCE_S, ended, STABLE_S, restored=restored)
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
