"""RPO: which prefix of a ledger's log came back, what is wrong with it, and how much was lost.

A backup is the state at some instant, so what it brings back is what the first k operations made. Anything
else is no state that ever was.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from graders.faults import InfraFault
from graders.recovery.intervals import NOTHING, Interval
from graders.recovery.outages import CLOCK_ERROR_S, Injection
from graders.recovery.records import LedgerWrite, RestoredRecord
from graders.recovery.seals import genuine

Place = tuple[str, str]
"""A record's object and the part of it."""


class AnomalyKind(StrEnum):
    """How a record differs from every state that the log had.

    `hole` is missing though a later one is there, `phantom` is there and never was (or not yet),
    `corrupted` is not what was written, `resurrected` had been deleted.
    """

    HOLE = "hole"
    PHANTOM = "phantom"
    CORRUPTED = "corrupted"
    RESURRECTED = "resurrected"


@dataclass(frozen=True)
class Anomaly:
    """One record that no state explains."""

    kind: AnomalyKind
    name: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.name}{'/' if self.part else ''}{self.part} {self.kind}"


@dataclass(frozen=True)
class RestoredPrefix:
    """The log of one kind and the prefix that came back: its first `kept` operations.

    Up to the first `longest` would look the same, for some operations leave no trace: what was made and
    deleted again, or never done. Where there are `anomalies` no prefix is what was found, and this one is
    the nearest.
    """

    writes: tuple[LedgerWrite, ...]
    kept: int
    longest: int
    anomalies: tuple[Anomaly, ...]

    @property
    def lost(self) -> tuple[LedgerWrite, ...]:
        """Acknowledged operations after the longest prefix; the others were never promised to anybody."""
        return _acknowledged(self.writes[self.longest :])

    def loss_s(self, injection: Injection, clock_error_s: float = CLOCK_ERROR_S) -> Interval:
        """The RPO: how long before the fault the state that came back was the acknowledged one.

        Clients had the acknowledgement of operation k and not yet of k + 1 from ack(k) to ack(k + 1):
        Loss ∈ [t0a − ack(k + 1), t0b − ack(k)], over acknowledged operations, and 0 if none is lost; where
        several k are possible, from the longest to the shortest. A write whose answer was under way when the
        backup was made counts as promised when the answer came. Censored where no acknowledged operation is
        left: the state is then older than the log.
        """
        if not self.lost:
            return NOTHING
        error_s = 2 * clock_error_s
        lower = max(0.0, injection.t0a - (self.lost[0].t_end or 0.0) - error_s)
        kept = _acknowledged(self.writes[: self.kept])
        if not kept:
            return Interval(lower, None)
        return Interval(lower, max(lower, injection.t0b - (kept[-1].t_end or 0.0) + error_s))

    def made_between(self, since: float, until: float) -> bool:
        """Whether a backup made from `since` to `until` can have this state: causality.

        Operation k had been sent by then, and k + 1 was not acknowledged before. An operation without
        answer can have been done at any time, or never.
        """
        kept = _acknowledged(self.writes[: self.kept])
        not_later = not kept or kept[-1].t <= until
        return not_later and (not self.lost or (self.lost[0].t_end or 0.0) >= since)


def restored_prefix(
    key: bytes,
    writes: Sequence[LedgerWrite],
    found: Sequence[RestoredRecord],
    owners: Collection[str] | None = None,
) -> RestoredPrefix:
    """The prefix of one kind's log that was found at one time, and what in it no prefix explains.

    Of the prefixes that reach the latest genuine record found, it is the one with the fewest anomalies. So a
    record that is missing before a later one is a hole, and not the later one a phantom.
    An operation without acknowledgement may have been done or not: both are in order. What is owned by an
    object that is not there again (`owners`; None asks for no owner) may be gone with it, or have no owner:
    kinds are backed up one after the other.

    Raises:
        InfraFault: the log is not one: numbers are missing, a name was used twice, or an operation was sent
            before the acknowledgement of the one before.
    """
    log = _ordered(writes)
    made = {(each.name, each.part): each for each in log if each.verb == "create"}
    there: dict[Place, bool] = {}
    anomalies: list[Anomaly] = []
    for each in found:
        place = (each.name, each.part)
        if place in made and place not in there:
            orphan = not each.owner and _owner_gone(made[place], owners)
            as_made = replace(each, owner=made[place].owner) if orphan else each
            there[place] = genuine(key, made[place], as_made)
            anomalies += [] if there[place] else [Anomaly(AnomalyKind.CORRUPTED, *place)]
        else:
            anomalies.append(Anomaly(AnomalyKind.PHANTOM, *place))
    good = {place for place, is_genuine in there.items() if is_genuine}
    shortest = max((made[place].seq for place in good), default=0)
    state = _State(set(there), good, owners)
    mismatches = [state.mismatches, *(state.apply(write) for write in log)]
    fewest = min(mismatches[shortest:])
    likely = [k for k, number in enumerate(mismatches) if k >= shortest and number == fewest]
    nearest = _State(set(there), good, owners)
    for write in log[: likely[0]]:
        nearest.apply(write)
    return RestoredPrefix(log, likely[0], likely[-1], (*anomalies, *nearest.anomalies()))


def _acknowledged(writes: Sequence[LedgerWrite]) -> tuple[LedgerWrite, ...]:
    return tuple(write for write in writes if write.t_end is not None)


class _State:
    """What the first operations made, held against what is there."""

    def __init__(self, there: set[Place], good: set[Place], owners: Collection[str] | None) -> None:
        self._there = there
        self._owners = owners
        self._required: set[Place] = set()
        self._allowed: set[Place] = set()
        self._deleted: set[Place] = set()
        self._good = good
        self._missing = 0
        self._extra = len(good)

    @property
    def mismatches(self) -> int:
        return self._missing + self._extra

    def apply(self, write: LedgerWrite) -> int:
        """Do one operation more; gives how many records differ then."""
        if write.verb == "create":
            self._create(write)
        else:
            self._delete(write)
        return self.mismatches

    def _create(self, write: LedgerWrite) -> None:
        place = (write.name, write.part)
        self._extra -= place in self._good
        if write.t_end is None or _owner_gone(write, self._owners):
            self._allowed.add(place)
        else:
            self._required.add(place)
            self._missing += place not in self._there

    def _delete(self, write: LedgerWrite) -> None:
        for place in [each for each in self._required | self._allowed if each[0] == write.name]:
            self._missing -= place in self._required and place not in self._there
            self._required.discard(place)
            if write.t_end is None:
                self._allowed.add(place)
            else:
                self._allowed.discard(place)
                self._deleted.add(place)
                self._extra += place in self._good

    def anomalies(self) -> list[Anomaly]:
        missing = self._required - self._there
        extra = self._good - self._required - self._allowed
        return [
            *(Anomaly(AnomalyKind.HOLE, *place) for place in sorted(missing)),
            *(Anomaly(AnomalyKind.RESURRECTED, *place) for place in sorted(extra & self._deleted)),
            *(Anomaly(AnomalyKind.PHANTOM, *place) for place in sorted(extra - self._deleted)),
        ]


def _owner_gone(write: LedgerWrite, owners: Collection[str] | None) -> bool:
    return bool(write.owner) and owners is not None and write.owner not in owners


def _ordered(writes: Sequence[LedgerWrite]) -> tuple[LedgerWrite, ...]:
    """The log in its order, once it is clear that it has one."""
    log = tuple(sorted(writes, key=lambda write: write.seq))
    made: set[Place] = set()
    for number, write in enumerate(log, start=1):
        if write.seq != number:
            raise InfraFault(f"the log of the ledger has {write.seq} where {number} should be")
        if write.verb == "create":
            if (write.name, write.part) in made:
                raise InfraFault(f"operation {number} of the ledger makes {write.name} for the second time")
            made.add((write.name, write.part))
    for before, after in pairwise(log):
        if before.t_end is not None and before.t_end > after.t:
            raise InfraFault(f"operation {after.seq} of the ledger was sent before {before.seq} was answered")
    return log
