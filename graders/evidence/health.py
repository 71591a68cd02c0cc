"""Health, of two kinds: whether the harness itself is scheduled, and how a cluster's API server answers.

A harness that was not scheduled can measure nothing. That an API server is away is evidence, and a fault
only where nobody meant it to be.
"""

import bisect
import math
import threading
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from graders.background import BackgroundThread
from graders.evidence.recording import Recording
from graders.evidence.records import HarnessSample, HealthSample
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.kube.paths import resource_path

S = TypeVar("S", HarnessSample, HealthSample)

PERIOD_S = 0.5
SICK_LAG_S = 2.0
SICK_READ_S = 3.0
PROMPT_READ_S = 0.01
"""A trivial read takes a third of that on a machine that keeps up."""


class _Sampler(BackgroundThread, Generic[S]):
    """Takes a sample in each period and puts it on record; a context manager."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(type(self).__name__)
        self._recording = recording
        self._samples: list[S] = []

    @abstractmethod
    def _sample(self, late_s: float) -> S:
        """A sample, of now; it is taken `late_s` seconds later than it was due."""

    def _since(self, t: float) -> tuple[list[S], float]:
        """The samples since time `t`, and how many seconds ago the last was taken."""
        now = self._recording.clock.now()
        samples = [sample for sample in list(self._samples) if sample.t >= t]
        return samples, now - max((sample.t for sample in samples), default=t)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            sample = self._sample(max(0.0, time.monotonic() - due))
            self._samples.append(sample)
            self._recording.writer.add(sample)
            due = max(due + PERIOD_S, time.monotonic())


class HarnessHealth(_Sampler[HarnessSample]):
    """Whether this process is scheduled in time; a context manager that measures."""

    def sickness(self, since: float) -> str:
        """What was wrong with the harness since time `since`; empty when it was healthy."""
        samples, silent_s = self._since(since)
        worst_s = max((sample.lag_s for sample in samples), default=0.0)
        if worst_s > SICK_LAG_S:
            return f"the harness was not scheduled for {worst_s:.1f} s"
        # A tick that is so late will be a sick one.
        return f"the harness took no sample for {silent_s:.1f} s" if silent_s > PERIOD_S + SICK_LAG_S else ""

    def _sample(self, late_s: float) -> HarnessSample:
        return HarnessSample(self._recording.clock.now(), round(late_s, 6))


class ApiHealth(_Sampler[HealthSample]):
    """How a cluster's API server answers; a context manager that asks it for something trivial."""

    def __init__(
        self, recording: Recording, kube: Kube, namespace: str = "default", *, cluster: str = ""
    ) -> None:
        """`namespace` is the object that is read as a trial."""
        super().__init__(recording)
        self.cluster = cluster
        self._path = resource_path("v1", "namespaces", name=namespace)
        self._kube = kube
        self._adding = threading.Lock()
        self._taken: list[float] = []
        """What `_taken_until` gives of each sample: waits that ask often add up nothing twice."""

    def sickness(self, since: float) -> str:
        """What was wrong with the API server since time `since`, where nobody disturbs it; else empty."""
        samples, silent_s = self._since(since)
        for sample in samples:
            if sample.read_s is None:
                return f"the API server did not answer the harness: {sample.error}"
            if sample.read_s > SICK_READ_S:
                return f"the API server took {sample.read_s:.1f} s for a trivial read"
        # A read that is under way for so long will be a sick one.
        late = silent_s > PERIOD_S + SICK_LAG_S + SICK_READ_S
        return f"the harness took no health sample for {silent_s:.1f} s" if late else ""

    def slow_s(self, since: float) -> float:
        """Seconds since `since` that the API server took from whoever asks it one thing after another.

        None while it answers promptly; nine tenths of the time while an answer takes ten times as long.
        """
        with self._adding:
            for number in range(len(self._taken), len(self._samples)):
                self._taken.append(self._taken_until(number))
            known = len(self._taken)
            first = bisect.bisect_right(self._samples, since, hi=known, key=lambda sample: sample.t)
            if first == known:
                return 0.0
            before = max(since, self._samples[first - 1].t) if first else since
            of_first = (self._samples[first].t - before) * _share_taken(self._samples[first])
            return of_first + self._taken[-1] - self._taken[first]

    def _taken_until(self, number: int) -> float:
        """Seconds that the API server took from the first sample to that one."""
        if number == 0:
            return 0.0
        sample, before = self._samples[number], self._samples[number - 1]
        return self._taken[number - 1] + (sample.t - before.t) * _share_taken(sample)

    def read_s(self) -> float:
        """Seconds one trivial read of the API server takes just now; without end if it does not answer."""
        took_s = self._sample(0.0).read_s
        return math.inf if took_s is None else took_s

    def _sample(self, late_s: float) -> HealthSample:  # noqa: ARG002  (how late it is, says the other one)
        started = time.monotonic()
        try:
            answer = self._kube.request("GET", self._path, timeout_s=10.0)
            error = "" if answer.ok else f"{answer.code} {answer.message}"
        except InfraFault as fault:
            error = fault.problem
        took = None if error else round(time.monotonic() - started, 6)
        return HealthSample(self._recording.clock.now(), took, error, self.cluster)


def _share_taken(sample: HealthSample) -> float:
    """Which part of the time that ended with a sample the API server took: all where it did not answer."""
    return 1.0 if sample.read_s is None else 1.0 - min(1.0, PROMPT_READ_S / max(sample.read_s, 1e-6))


@dataclass(frozen=True)
class Health:
    """Harness and API server together: for a run that disturbs neither, each can be to blame."""

    harness: HarnessHealth
    api: ApiHealth

    def sickness(self, since: float) -> str:
        """What was wrong with either since time `since`; empty when both were healthy."""
        return self.harness.sickness(since) or self.api.sickness(since)

    def slow_s(self, since: float) -> float:
        """As `ApiHealth.slow_s`."""
        return self.api.slow_s(since)

    def read_s(self) -> float:
        """As `ApiHealth.read_s`."""
        return self.api.read_s()
