"""Which pods of a gang may start: enough of them at once, or none."""

from __future__ import annotations

from collections.abc import Iterable

from .indices import inside
from .job import Job
from .pods import Pod
from .room import Room


def admitted(job: Job, pods: Iterable[Pod], room: Room) -> tuple[Pod, ...]:
    """The gated pods to let go now.

    Those that are up or have finished count towards the gang, so the replacement of one pod may
    start as soon as it fits, and a gang that was let go only in part is completed first.
    """
    present = inside(job, pods)
    waiting = sorted((p for p in present if p.gated and p.active), key=lambda pod: pod.index or 0)
    up = sum(pod.active and not pod.gated for pod in present)
    placeable = tuple(pod for pod in waiting if room.place(pod.raw))
    enough = up + len(job.status.finished) + len(placeable) >= job.quorum
    return placeable if enough else ()
