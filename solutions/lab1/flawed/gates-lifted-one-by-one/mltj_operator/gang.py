"""Which pods of a gang may start: whoever fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .indices import inside
from .job import Job
from .names import GANG_GATE
from .ownership import Object
from .pods import Pod, gates
from .room import Room


def admitted(job: Job, pods: Iterable[Pod], room: Room) -> tuple[Pod, ...]:
    """The gated pods to let go now."""
    present = inside(job, pods)
    waiting = sorted((p for p in present if p.gated and p.active), key=lambda pod: pod.index or 0)
    return tuple(pod for pod in waiting if room.place(pod.raw))


def claimed(pods: Iterable[Object], besides: str) -> tuple[Object, ...]:
    """The gated pods of gangs that have begun to start, but for the gang with the UID `besides`.

    A gang whose gates were lifted only in part, because a write failed or the process died, keeps
    its claim to the rest: another that took these places would block both.
    """
    waiting: dict[str, list[Object]] = defaultdict(list)
    begun: set[str] = set()
    for raw in pods:
        owner, status = _controller(raw), raw.get("status") or {}
        gone = raw["metadata"].get("deletionTimestamp")
        if not owner or owner == besides or gone or status.get("phase") in ("Succeeded", "Failed"):
            continue
        if GANG_GATE in gates(raw):
            waiting[owner].append(raw)
        else:
            begun.add(owner)
    return tuple(raw for owner in waiting if owner in begun for raw in waiting[owner])


def _controller(raw: Object) -> str:
    references = raw["metadata"].get("ownerReferences") or ()
    return next((str(ref.get("uid", "")) for ref in references if ref.get("controller")), "")
