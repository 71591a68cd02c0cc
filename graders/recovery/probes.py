"""Open-loop probes: slots at fixed times, whatever became of the requests before.

A prober that waits for an answer before it asks again (a closed loop) asks least while the answers are
missing, and so sees an outage shorter and less often than its users do (coordinated omission).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from graders.recovery.records import ProbeSample


@dataclass(frozen=True)
class Slots:
    """The times `begin + n * every_s` for n = 0, 1, 2 …, in seconds of the run."""

    begin: float
    every_s: float

    def due(self, number: int) -> float:
        """When a slot is due; sums of many steps would drift."""
        return self.begin + number * self.every_s

    def between(self, since: float, until: float) -> range:
        """The numbers of the slots that are due from `since` to `until`, both included."""
        first = max(0, math.ceil((since - self.begin) / self.every_s))
        return range(first, max(first, math.floor((until - self.begin) / self.every_s) + 1))


@dataclass(frozen=True)
class ProbeSpec:
    """A probe with a slot every `every_s` seconds, whose answers may take `limit_s`."""

    name: str
    every_s: float = 0.5
    limit_s: float = 1.0

    @property
    def widest_s(self) -> float:
        """How far apart two neighbouring slots may be sent: further, and one between them is missing."""
        return 2 * self.every_s

    def failed(self, sample: ProbeSample) -> bool:
        """Whether a slot failed: a bad answer, none, or one that took longer than the limit."""
        return not sample.ok or sample.t_end is None or sample.t_end - sample.t > self.limit_s

    def failed_by(self, sample: ProbeSample) -> float:
        """When it was clear that a slot failed: with the bad answer, or when its time was up."""
        given_up = sample.t + self.limit_s
        return given_up if sample.t_end is None else min(sample.t_end, given_up)

    def scaled(self, scale: float) -> ProbeSpec:
        """The same on a machine that is `scale` times as slow (at least 1).

        Its answers have more time. The slots do not: they are the instrument, and where they are late
        nothing was measured.
        """
        return replace(self, limit_s=self.limit_s * max(1.0, scale))


WRITE = ProbeSpec("write")
SERVING = ProbeSpec("serving")
CAPACITY = ProbeSpec("capacity")
CANARY = ProbeSpec("canary", every_s=1.0, limit_s=2.0)
