"""How long a wait goes on: its limit, and what the machine is to blame for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from graders.scenario.calibration import slowdown

if TYPE_CHECKING:
    from graders.lab1.world import World

MOST_STRETCH = 3.0
"""How many times over a limit is stretched at most on a machine that has no time for it."""

SHORTEST_STRETCH_S = 0.1
"""Less is not worth another look."""

OWN_SHARE = 0.5
"""An operator that ran for so much of the time (of one processor's) had its chance."""

MOST_WRITES = 120
MOST_CHURN = 400
"""So did one that wrote so often in a namespace of the waiting track, or made and removed so many objects
anywhere: a whole run of a sound one takes less, and what it did instead is what keeps the machine busy."""


class OperatorsClock:
    """Seconds as the operator of `world` has them: what the machine takes from it does not pass.

    However little it has, a second passes in `1 + MOST_STRETCH` of ours. Any thread may ask.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._seen, self._taken_s = self._look()
        self._now = 0.0

    def now(self) -> float:
        """Seconds since this clock was made; it never goes back."""
        with self._lock:
            (before, taken_before), (self._seen, self._taken_s) = (self._seen, self._taken_s), self._look()
            passed = max(0.0, self._seen - before)
            taken = max(0.0, self._taken_s - taken_before)
            self._now += max(passed - taken, passed / (1.0 + MOST_STRETCH))
            return self._now

    def _look(self) -> tuple[float, float]:
        taken_s = self._world.scheduled().waited_s + self._world.control.slow_s(0.0)
        return self._world.recording.clock.now(), taken_s


class Patience:
    """The limit of one wait that began at `since`, stretched while it lasts."""

    def __init__(self, world: World, track: str, since: float, limit_s: float) -> None:
        self.since = since
        self.limit_s = limit_s
        self._world = world
        self._track = track
        self._before = world.scheduled()
        self._asked_before = world.asked(track)
        self._stretch_s = 0.0

    def left_s(self) -> float:
        """Seconds to go on for, by how busy the machine was so far; below zero when time is up.

        What was granted is not taken back: a machine that keeps up again does not make up for what it kept.
        """
        self._stretch_s = max(self._stretch_s, self._machines_s())
        return min(self._stretch_s, MOST_STRETCH * self.limit_s) - self.over_s()

    def over_s(self) -> float:
        """Seconds past the limit."""
        return self._world.recording.clock.now() - self.since - self.limit_s

    def in_vain(self) -> bool:
        """Whether all patience was for nothing because the machine, and not the operator, had no time.

        Whoever had the whole limit on a machine that kept up had what was promised.
        """
        if self._stretch_s < MOST_STRETCH * self.limit_s:
            return False
        if self.over_s() > self._taken_s():
            return False
        ran_s = self._world.scheduled().ran_s - self._before.ran_s
        return ran_s < OWN_SHARE * (self.limit_s + self.over_s()) and not self._flooded()

    def _flooded(self) -> bool:
        asked, before = self._world.asked(self._track), self._asked_before
        writes = max((n - before.writes.get(name, 0) for name, n in asked.writes.items()), default=0)
        return writes > MOST_WRITES or asked.churn - before.churn > MOST_CHURN

    def _machines_s(self) -> float:
        """How much of the time was the machine's.

        Besides what was taken from the operator, a pod of the grader's own may take longer to get running
        just now than it should.
        """
        slower = slowdown(self._world.kube, self._world.own_namespace)
        return self._taken_s() + self.limit_s * (slower - 1.0)

    def _taken_s(self) -> float:
        """How long the operator could not go on: no processor was free, or the API server let all wait."""
        return self._world.kept_since(self._before.waited_s) + self._world.control.slow_s(self.since)
