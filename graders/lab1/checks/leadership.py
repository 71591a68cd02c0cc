"""Of two replicas one writes at a time, and the other takes over."""

from collections import Counter
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import WRITE_VERBS, Exchange, Mark
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.lab1.leaderelection import LOCKS, LeaseWrite, holder_of, replica_of, shared_locks
from graders.lab1.trackrecord import JobsRecord, track_record

GRACE_S = 0.2
"""How long a write may come after its replica has lost the lead, or has been let go on."""

_SHOWN = 4

_ELECT = (
    "Take a Lease of at most 15 s in your own namespace and renew it while you run; take it over when its "
    "holder has not renewed it for as long as it lasts, and then look at every job."
)


@check(
    "leader",
    tracks=("leader",),
    hint="Write only while you hold the lease, measured from when you sent the renewal that succeeded.",
)
def check_leader(bundle: Bundle, facts: Facts) -> None:
    """Of two replicas only the one that leads writes; the other takes over when it is stopped or killed."""
    story = JobsRecord(bundle, "leader")
    with Findings(
        "one writer at a time: no write by a replica while the other holds the lease",
        hint="Look at the lease just before each write, not only at the start or when an event comes.",
    ) as found:
        # Two writers are said first: whatever else the track then missed is likely to come of it.
        writes = _writes(story)
        for when, strays in _strays(story, writes).items():
            shown = ", ".join(_told(x) for x in strays[:_SHOWN])
            more = f" and {len(strays) - _SHOWN} more" if len(strays) > _SHOWN else ""
            found.miss(f"{when}: {shown}{more}")
    story = track_record(bundle, "leader", hint=_ELECT)
    end = story.mark("end").t
    for name in ("stopped", "killed"):
        mark = story.mark(name)
        facts[f"lease_when_{name}_s"] = mark.data.get("lease_s")
        gone = replica_of(str(mark.data.get("instance")))
        first = next((x.t for x in writes if mark.t < x.t <= end and replica_of(x.instance) != gone), None)
        if first is None:
            raise InfraFault(
                f"a replica took over after the other was {name}, and no write of it is on record"
            )
        facts[f"takeover_when_{name}_s"] = round(first - mark.t, 2)
    facts["writes"] = dict(Counter(x.instance for x in writes))
    story.mark("awake")


def _writes(story: JobsRecord) -> list[Exchange]:
    """Accepted writes to jobs and their children while there were two replicas, in all tracks' namespaces."""
    mark = next(iter(story.all("begin")), None)
    if mark is None:
        return []
    begin, replicas = mark.t, mark.data["replicas"]
    end = next((mark.t for mark in story.all("end")), float("inf"))
    spaces = {mark.data.get("namespace") for mark in story.bundle.marks if mark.name == "namespace"}
    return [
        x
        for x in story.bundle.exchanges
        if begin <= x.t <= end
        and replica_of(x.instance) in replicas
        and x.verb in WRITE_VERBS
        and x.resource not in LOCKS
        and x.resource != "events"
        and x.namespace in spaces
        and 200 <= x.code < 300
    ]


def _strays(story: JobsRecord, writes: list[Exchange]) -> dict[str, list[Exchange]]:
    """Writes by a replica while the other held the lock, by when that was, in words."""
    lease_writes = _lease_writes(story)
    locks = shared_locks(lease_writes) or {write.lock for write in lease_writes}
    found: dict[str, list[Exchange]] = {}
    for write in writes:
        writer = replica_of(write.instance)
        holders = {
            holder
            for lock in locks
            if (holder := holder_of(lease_writes, lock, write.t))
            and replica_of(holder) != writer
            and replica_of(holder_of(lease_writes, lock, write.t - GRACE_S)) != writer
        }
        if holders and not _just_awake(story, write):
            when = _when(story, write, ", ".join(sorted(holders)))
            found.setdefault(when, []).append(write)
    return found


def _just_awake(story: JobsRecord, write: Exchange) -> bool:
    """Whether the writer was let go on just now; the mark `awake` has the grace as the machine allowed it."""
    for mark in story.all("continued"):
        if mark.data.get("instance") == write.instance:
            over = next((a.t for a in story.all("awake") if a.t >= mark.t), mark.t + GRACE_S)
            if mark.t <= write.t <= max(over, mark.t + GRACE_S):
                return True
    return False


def _when(story: JobsRecord, write: Exchange, holders: str) -> str:
    before = [mark for mark in story.marks if mark.t <= write.t and mark.name in _PHASES]
    phase = _PHASES[before[-1].name] if before else "at the start"
    back = any(m.t <= write.t and m.data.get("instance") == write.instance for m in story.all("continued"))
    who = f"{write.instance}, which had been stopped past its lease," if back else write.instance
    return f"{phase} {who} wrote while {holders} led"


_PHASES = {
    "begin": "with both running,",
    "stopped": "with the leader stopped,",
    "continued": "after the old leader went on,",
    "killed": "with the leader killed,",
}


def _told(write: Exchange) -> str:
    return f"{f'{write.verb} {write.resource} {write.name}'.rstrip()} at {write.t:.2f} s"


def _lease_writes(story: JobsRecord) -> list[LeaseWrite]:
    return [_claim(mark) for mark in story.all("claim")]


def _claim(mark: Mark) -> LeaseWrite:
    data: Any = mark.data
    return LeaseWrite(
        mark.t,
        str(data["instance"]),
        str(data["lock"]),
        str(data["holder"]),
        data["lasts_s"],
        float(data["priority"]),
        bool(data["gone"]),
    )
