"""Open-loop probing: a slot of each probe at each time that is due, whatever became of the last one."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.polling import NotYet
from graders.recovery.probes import ProbeSpec, Slots
from graders.recovery.records import ProbeSample

_AT_ONCE = 12
_ENDS_WITHIN_S = 10.0


class ProbeFailed(Exception):
    """A probe was answered, and not as in steady state."""


class OpenLoopProber(ABC):
    """Sends probes of a cluster while its block runs, and puts each slot on record; any thread may ask.

    A subclass says in `probes` what is done in a slot: a method that gets the scaled spec, the number of the
    slot and when it was due, and keeps what it saw by `sample` or `keep`.
    """

    def __init__(self, recording: Recording, cluster: str, specs: Sequence[ProbeSpec], scale: float) -> None:
        self._recording = recording
        self._cluster = cluster
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last_failure: dict[str, float] = {}
        self._samples: list[ProbeSample] = []
        self.specs = {spec.name: spec.scaled(scale) for spec in specs}
        self._pool = ThreadPoolExecutor(len(self.probes) * _AT_ONCE, thread_name_prefix="probe")
        self._threads = [
            threading.Thread(
                target=self._slots, args=(self.specs[name], probe), name=f"prober {name}", daemon=True
            )
            for name, probe in self.probes.items()
        ]

    @property
    @abstractmethod
    def probes(self) -> Mapping[str, Callable[[ProbeSpec, int, float], None]]:
        """What is sent, by the names of specs; one probe may answer for several specs."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_ENDS_WITHIN_S)
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def dead(self) -> tuple[str, ...]:
        """The probers that ended by themselves."""
        return tuple(thread.name for thread in self._threads if not thread.is_alive())

    def samples(self, since: float, until: float, *names: str) -> dict[ProbeSpec, list[ProbeSample]]:
        """What some probes sampled in a stretch of time; of all, where none is named."""
        there = [each for each in list(self._samples) if since <= each.t <= until]
        return {
            spec: [each for each in there if each.probe == name]
            for name, spec in self.specs.items()
            if name in (names or self.specs)
        }

    def last_failure(self, *names: str) -> float:
        """When one of the probes failed last, of all where none is named; before all time if none did."""
        with self._lock:
            return max(
                (t for name, t in self._last_failure.items() if name in (names or self.specs)),
                default=-float("inf"),
            )

    def quiet_for(self, seconds: float, *names: str, since: float) -> None:
        """See that none of the probes failed in the last `seconds`, all of which are after `since`.

        Raises:
            NotYet: one did, or it is not that long ago.
        """
        with self._lock:
            last = {name: self._last_failure.get(name, since) for name in names or tuple(self.specs)}
        # A slot that is under way may still turn out to have failed.
        under_way_s = max(self.specs[name].limit_s for name in last)
        name, t = max(last.items(), key=lambda each: each[1])
        quiet_s = self._recording.clock.now() - max(t, since)
        if quiet_s < seconds + under_way_s:
            raise NotYet(f"probe {name} failed {quiet_s:.1f} s ago")

    def _slots(self, spec: ProbeSpec, probe: Callable[[ProbeSpec, int, float], None]) -> None:
        clock = self._recording.clock
        slots = Slots(clock.now() + 0.1, spec.every_s)
        number = 0
        while not self._stop.wait(max(0.0, slots.due(number) - clock.now())):
            self._pool.submit(probe, spec, number, slots.due(number))
            number += 1

    def sample(self, spec: ProbeSpec, slot: int, due: float, act: Callable[[], None]) -> None:
        """Do what a slot does, and keep whether it failed: by `ProbeFailed` or `InfraFault`."""
        self.keep(spec, slot, due, *self.timed(act))

    def timed(self, act: Callable[[], None]) -> tuple[float, float, str]:
        """When it was sent and answered, and what was wrong with the answer; empty where nothing was."""
        clock, error = self._recording.clock, ""
        t = clock.now()
        try:
            act()
        except (InfraFault, ProbeFailed) as failure:
            error = str(failure)[:300] or "failed"
        return t, clock.now(), error

    def keep(self, spec: ProbeSpec, slot: int, due: float, t: float, t_end: float, error: str) -> None:
        """Put one slot on record."""
        sample = ProbeSample(t, t_end, spec.name, slot, round(due, 6), not error, error, self._cluster)
        if spec.failed(sample):
            with self._lock:
                self._last_failure[spec.name] = max(t, self._last_failure.get(spec.name, t))
        self._samples.append(sample)
        self._recording.writer.add(sample)
        self._recording.changes.notify()
