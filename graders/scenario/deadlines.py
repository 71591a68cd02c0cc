"""Adaptive deadlines: how long a wait goes on, by its limit and by what the machine is to blame for."""

import threading

from graders.scenario.calibration import slowdown
from graders.scenario.environment import Environment

MOST_STRETCH = 3.0
"""How many times over a limit is stretched at most on a machine that has no time for it."""

SHORTEST_STRETCH_S = 0.1
"""Less is not worth another look."""

OWN_SHARE = 0.5
"""An operator that ran for so much of the time (of one processor's) had its chance."""

MOST_REQUESTS_PER_S = 200
MOST_WRITES = 120
MOST_CHURN = 400
"""So did one that asked for so much all along, wrote so often in a namespace of the waiting track, or made
and removed so many objects anywhere: a sound one does with a third of the first and a whole run of it takes
less than the others. What it did instead is what keeps the machine busy."""

CREDIBLE = 2.0
"""How many times as much as the harness's own requests the operator's may have been kept waiting, to be
believed: a machine that is slow is slow to both, and an operator can ask for what takes long."""


class LearnerClock:
    """Seconds as the program in `environment` has them: what the machine takes from it does not pass.

    However little it has, a second passes in `1 + MOST_STRETCH` of ours. Any thread may ask.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
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
        taken_s = self._environment.scheduled().waited_s + _slow_s(self._environment, 0.0, 0.0)
        return self._environment.recording.clock.now(), taken_s


class AdaptiveDeadline:
    """The limit of one wait that began at `since`, stretched while it lasts."""

    def __init__(self, environment: Environment, track: str, since: float, limit_s: float) -> None:
        self.since = since
        self.limit_s = limit_s
        self._environment = environment
        self._track = track
        self._before = environment.scheduled()
        self._asked_before = environment.usage(track)
        self._answers_before_s = environment.answers_slow_s()
        self._stretch_s = 0.0

    def left_s(self) -> float:
        """Seconds to go on for, by how busy the machine was so far; below zero when time is up.

        What was granted is not taken back: a machine that keeps up again does not make up for what it kept.
        """
        self._stretch_s = max(self._stretch_s, self._machines_s())
        return min(self._stretch_s, MOST_STRETCH * self.limit_s) - self.over_s()

    def over_s(self) -> float:
        """Seconds past the limit."""
        return self._environment.recording.clock.now() - self.since - self.limit_s

    def starved(self) -> bool:
        """Whether all patience was for nothing because the machine, and not the operator, had no time.

        Whoever had the whole limit on a machine that kept up had what was promised.
        """
        if self._stretch_s < MOST_STRETCH * self.limit_s:
            return False
        if self.over_s() > self._taken_s():
            return False
        ran_s = self._environment.scheduled().ran_s - self._before.ran_s
        return ran_s < OWN_SHARE * (self.limit_s + self.over_s()) and not self._flooded()

    def _flooded(self) -> bool:
        asked, before = self._environment.usage(self._track), self._asked_before
        writes = max((n - before.writes.get(name, 0) for name, n in asked.writes.items()), default=0)
        requests = asked.requests - before.requests
        return (
            requests > MOST_REQUESTS_PER_S * (self.limit_s + self.over_s())
            or writes > MOST_WRITES
            or asked.churn - before.churn > MOST_CHURN
        )

    def _machines_s(self) -> float:
        """How much of the time was the machine's.

        Besides what was taken from the operator, its requests may take longer than they should: all tracks
        run at once, and an operator with one worker sees to their jobs one after another. And so may a pod
        of the grader's own to get running just now.
        """
        slower = slowdown(self._environment.kube, self._environment.own_namespace)
        slow_s = _slow_s(self._environment, self.since, self._answers_before_s)
        return self._kept_s() + slow_s + self.limit_s * (slower - 1.0)

    def _taken_s(self) -> float:
        """How long the operator could not go on: no processor was free, or the API server let all wait."""
        slow_s = _slow_s(self._environment, self.since, self._answers_before_s)
        return self._kept_s() + min(slow_s, CREDIBLE * self._environment.health.slow_s(self.since))

    def _kept_s(self) -> float:
        return self._environment.kept_since(self._before.waited_s)


def _slow_s(environment: Environment, since: float, answers_before_s: float) -> float:
    """Seconds since `since` that the API server took, by what the harness or the operator asked of it."""
    return max(environment.health.slow_s(since), environment.answers_slow_s() - answers_before_s)
