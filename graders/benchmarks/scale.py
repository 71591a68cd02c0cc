"""What a very large class takes, from figures of a small one that was measured; pure."""

from dataclasses import dataclass

from graders.benchmarks.classes import Throughput

CLASS = 10_000
"""The class that the arithmetic is for."""

AT_ONCE = (50, 200, 1000)
"""Pods side by side."""

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Scale:
    """A class of `size`: what it takes of processors, objects and a store; `hours` by pods at once."""

    size: int
    cpu_hours: float
    object_bytes: int
    objects: int
    report_bytes: int
    rows: int
    hours: dict[int, float]
    memory_bytes: dict[int, int]


def scale_of(measured: Throughput, memory_bytes: int, size: int = CLASS) -> Scale:
    """The gradings of `measured`, which were one at a time, `size` times in pods of `memory_bytes`."""
    count = len(measured.percents)
    return Scale(
        size=size,
        cpu_hours=measured.cpu_s / count * size / _HOUR_S,
        object_bytes=measured.pack_bytes // count * size,
        # A hand-in, an index, a pack and a marker each, the plan, and the place's own.
        objects=4 * size + 2,
        report_bytes=measured.report_bytes // count * size,
        # An attempt and a grade each, and the learner.
        rows=3 * size,
        hours={pods: -(-size // pods) * measured.seconds / count / _HOUR_S for pods in AT_ONCE},
        memory_bytes={pods: pods * memory_bytes for pods in AT_ONCE},
    )
