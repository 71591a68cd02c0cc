"""Who leads, told from how replicas write Leases and kopf peerings; no I/O here.

A Lease is held by whoever wrote it last, until it is given back or another writes it. A peering is held
by the live entry of the highest priority, and by nobody while an entry that was there is missing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.kube.requestinfo import RequestInfo

LEASES = "leases"
PEERINGS = frozenset({"kopfpeerings", "clusterkopfpeerings"})
LOCKS = PEERINGS | {LEASES}

MOST_LEASE_S = 15.0
"""The longest lease that the lab waits for; one that does not say how long it lasts is taken to last so."""


@dataclass(frozen=True)
class LeaseWrite:
    """One accepted write by which a replica says that it leads, would lead, or no longer does.

    `lock` names the object, `holder` is what the replica calls itself in it, `lasts_s` how long the word
    holds (None: not said), `gone` whether the entry was given up.
    """

    t: float
    instance: str
    lock: str
    holder: str = ""
    lasts_s: float | None = None
    priority: float = 0.0
    gone: bool = False

    @property
    def replica(self) -> str:
        """The replica whose process wrote it."""
        return replica_of(self.instance)

    @property
    def is_peering(self) -> bool:
        """Whether the object is a peering, not a Lease."""
        return self.lock.partition("/")[0] in PEERINGS


def replica_of(instance: str) -> str:
    """`standby` for `standby-3`: one replica, whichever its process is."""
    return instance.rpartition("-")[0]


def read_lease_writes(asked: RequestInfo, body: bytes, instance: str, t: float) -> list[LeaseWrite]:
    """What an accepted write of a Lease or a peering claims; what cannot be read claims the whole object."""
    lock = f"{asked.resource}/{asked.namespace}/"
    try:
        written = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        written = {}
    written = written if isinstance(written, Mapping) else {}
    lock += asked.name or str(_dig(written, "metadata", "name") or "")
    if asked.resource in PEERINGS:
        return list(_entries(_dig(written, "status"), instance, t, lock))
    spec = _dig(written, "spec")
    spec = spec if isinstance(spec, Mapping) else {}
    holder = spec.get("holderIdentity", instance)
    gone = asked.verb in ("delete", "deletecollection") or not holder
    return [
        LeaseWrite(t, instance, lock, str(holder or ""), seconds(spec.get("leaseDurationSeconds")), gone=gone)
    ]


def _entries(status: object, instance: str, t: float, lock: str) -> Iterable[LeaseWrite]:
    if not isinstance(status, Mapping):
        return
    for identity, entry in status.items():
        if isinstance(entry, Mapping):
            lasts_s, priority = seconds(entry.get("lifetime")), seconds(entry.get("priority"))
            yield LeaseWrite(t, instance, lock, str(identity), lasts_s, priority or 0.0)
        else:
            yield LeaseWrite(t, instance, lock, str(identity), gone=True)


def seconds(value: object) -> float | None:
    """A number as a Lease or a peering tells it; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    return None


def shared_locks(lease_writes: Sequence[LeaseWrite]) -> set[str]:
    """The locks that several replicas have claimed: a Lease per replica elects nobody."""
    claimants: dict[str, set[str]] = {}
    for write in lease_writes:
        claimants.setdefault(write.lock, set()).add(write.replica)
    return {lock for lock, replicas in claimants.items() if len(replicas) > 1}


def holder_of(lease_writes: Sequence[LeaseWrite], lock: str, t: float) -> str:
    """The instance that holds `lock` at time `t`; empty when nobody does. `claims` are in order of time."""
    past = [write for write in lease_writes if write.lock == lock and write.t <= t]
    if not past:
        return ""
    if not past[-1].is_peering:
        return "" if past[-1].gone else past[-1].instance
    latest = {write.holder: write for write in past}
    # kopf clears away entries of peers that seem dead; one that was only stopped does so to its own when
    # it goes on. Until it has entered itself anew both are told that they lead, which is kopf's doing.
    entered = {write.holder for write in past if not write.gone}
    if any(write.gone and name in entered for name, write in latest.items()):
        return ""
    live = [
        write
        for write in latest.values()
        if not write.gone and write.t + (MOST_LEASE_S if write.lasts_s is None else write.lasts_s) > t
    ]
    top = max((write.priority for write in live), default=0.0)
    leaders = [write for write in live if write.priority == top]
    return leaders[0].instance if len(leaders) == 1 else ""


def lease_s(lease_writes: Sequence[LeaseWrite], instance: str) -> float | None:
    """How long the word of `instance` holds, at most `MOST_LEASE_S`; None when it never claimed anything."""
    own = [write for write in lease_writes if write.instance == instance and not write.gone]
    if not own:
        return None
    said = [write.lasts_s for write in own[-8:] if write.lasts_s is not None]
    return min(max(said, default=MOST_LEASE_S), MOST_LEASE_S)


def _dig(value: Any, *path: str) -> Any:
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
