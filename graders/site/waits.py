"""Where a class's gradings waited longest: waits for the same thing in the same track, over all learners."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from graders.reports.text import one_line
from graders.site.losses import shape
from graders.site.model import SlowWait

SHOWN = 15


@dataclass(frozen=True)
class WaitGroup:
    """Waits for one thing; times in seconds, `slowest` is whose took longest."""

    track: str
    what: str
    times: int
    median_s: float
    p90_s: float
    longest_s: float
    total_s: float
    slowest: str


def slowest_waits(waits: Iterable[SlowWait]) -> tuple[WaitGroup, ...]:
    """The waits that cost the class most time together, most first."""
    groups: dict[tuple[str, str], list[SlowWait]] = defaultdict(list)
    for wait in waits:
        groups[wait.track, shape(wait.what)].append(wait)
    found = [_group(members) for members in groups.values()]
    return tuple(sorted(found, key=lambda one: (-one.total_s, one.track, one.what))[:SHOWN])


def _group(members: list[SlowWait]) -> WaitGroup:
    seconds = sorted(wait.seconds for wait in members)
    slowest = max(members, key=lambda wait: wait.seconds)
    return WaitGroup(
        track=one_line(slowest.track, 80),
        what=one_line(slowest.what, 160),
        times=len(members),
        median_s=statistics.median(seconds),
        p90_s=seconds[min(int(0.9 * len(seconds)), len(seconds) - 1)],
        longest_s=seconds[-1],
        total_s=sum(seconds),
        slowest=slowest.learner_id,
    )
