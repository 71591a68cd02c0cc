"""Open-loop probing: slots come in time whatever became of the last, and each is on record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.polling import NotYet, wait_for
from graders.recovery.probes import ProbeSpec
from graders.scenario.openloop import OpenLoopProber, ProbeFailed

FAST = ProbeSpec("fast", every_s=0.05, limit_s=0.1)


class Slow(OpenLoopProber):
    """Answers none of its slots before `go` is set, and fails while `broken`."""

    go = threading.Event()
    broken = False

    @property
    def probes(self) -> Mapping[str, Callable[[ProbeSpec, int, float], None]]:
        return {FAST.name: self.ask}

    def ask(self, spec: ProbeSpec, slot: int, due: float) -> None:
        def act() -> None:
            self.go.wait(5.0)
            if self.broken:
                raise ProbeFailed("it is broken")

        self.sample(spec, slot, due, act)


def sampled(prober: Slow, count: int) -> None:
    def probe() -> None:
        if len(prober.samples(0.0, 1e9)[FAST]) < count:
            raise NotYet("too few")

    wait_for(probe, timeout_s=10.0, interval_s=0.01)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    with BundleWriter(tmp_path / "bundle") as writer:
        yield Recording(writer)


def test_slots_are_sent_while_none_is_answered(recording: Recording) -> None:
    prober = Slow(recording, "one", (FAST,), 1.0)
    prober.go.clear()
    with prober:
        threading.Event().wait(0.3)
        prober.go.set()
        sampled(prober, 4)
        assert prober.dead == ()
    sent = [each.due for each in sorted(prober.samples(0.0, 1e9)[FAST], key=lambda each: each.slot)]
    assert all(later - t == pytest.approx(FAST.every_s, abs=1e-5) for t, later in pairwise(sent))


def test_a_failure_is_remembered_and_disturbs_the_quiet(recording: Recording) -> None:
    prober = Slow(recording, "one", (FAST,), 1.0)
    prober.broken = True
    prober.go.set()
    with prober:
        sampled(prober, 2)
    assert prober.last_failure() == prober.last_failure("fast") > 0
    with pytest.raises(NotYet, match="probe fast failed"):
        prober.quiet_for(60.0, since=0.0)
    assert {each.error for each in prober.samples(0.0, 1e9)[FAST]} == {"it is broken"}
    assert prober.dead == ("prober fast",)
