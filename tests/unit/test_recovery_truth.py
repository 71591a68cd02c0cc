"""The true value lies in the interval: thousands of synthetic outages of known length, none of them kind."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.recovery.outages import Episode, ProbeOutage, probe_outage
from graders.recovery.probes import CANARY, CAPACITY, SERVING, ProbeSpec
from graders.recovery.rto import RecoveryMeasurement, measure_recovery
from tests.unit.outages import Machine, Outages, Stretch, bracketed, controlled, probed

CASES = 10_000
SEED = 20_300_101
STABLE_SLOTS = 6
"""W in slots, shorter here than in the lab, so that ten thousand cases take seconds."""

QUIET = Machine(jitter_s=0.0, request_s=0.01, slow_share=0.0)


@dataclass(frozen=True)
class Case:
    """One outage, its machine, and what was seen."""

    truth: Outages
    machine: Machine
    episode: Episode
    seen: ProbeOutage

    @property
    def held(self) -> bool:
        """Whether the true RTO is in its interval."""
        return self.seen.rto_s.holds(self.truth.rto_s)

    @property
    def width_s(self) -> float:
        """The width of the RTO's interval, but for what injection and request took themselves."""
        injection, recovery, upper_s = self.episode.injection, self.seen.recovery, self.seen.rto_s.upper_s
        assert upper_s is not None
        assert recovery is not None
        assert recovery.t_end is not None
        took_s = injection.t0b - injection.t0a + recovery.t_end - recovery.t
        return upper_s - self.seen.rto_s.lower_s - took_s


def outages(rng: Random, fault: float, spec: ProbeSpec) -> Outages:
    """An outage from the fault on; one in four is a blip, one in four begins late, one in four flaps.

    What begins later than the fault lasts long enough that a slot must fall into it and fail.
    """
    surely_seen_s = spec.widest_s + spec.limit_s
    shape = rng.randrange(4)
    begin = fault + (rng.uniform(0.0, 2.0) if shape == 1 else 0.0)
    length_s = rng.uniform(0.0, 0.7) if shape == 0 else surely_seen_s + rng.uniform(0.0, 3.0)
    away: list[Stretch] = [(begin, begin + length_s)]
    while shape == 2 and len(away) < 4 and rng.random() < 0.6:
        again = away[-1][1] + rng.uniform(0.0, 2 * spec.every_s)
        away.append((again, again + rng.uniform(surely_seen_s, surely_seen_s + 1.0)))
    return Outages(fault, tuple(away))


def cases(number: int, spec: ProbeSpec = SERVING, seed: int = SEED) -> Iterator[Case]:
    rng = Random(seed)
    for _ in range(number):
        machine = Machine(
            jitter_s=rng.choice((0.0, 0.05, 0.2)),
            request_s=rng.choice((0.005, 0.02, 0.1)),
            slow_share=rng.choice((0.0, 0.05, 0.2)),
            hang_share=rng.choice((0.0, 0.5, 1.0)),
            clock_error_s=rng.choice((0.0, 0.001, 0.01)),
            late_share=rng.choice((0.0, 0.1)),
        )
        truth = outages(rng, rng.uniform(2.0, 3.0), spec)
        stable_s = STABLE_SLOTS * spec.every_s
        injection = bracketed(truth, machine, rng)
        over = truth.fault + truth.rto_s + stable_s + 3.0
        episode = Episode(
            injection, deadline_s=40.0, ended=over, stable_s=stable_s, clock_error_s=machine.clock_error_s
        )
        samples = probed(spec, truth, machine, rng, until=over)
        yield Case(truth, machine, episode, probe_outage(spec, samples, episode))


@pytest.mark.parametrize(("spec", "number"), [(SERVING, CASES), (CANARY, CASES // 5)])
def test_the_true_rto_and_outage_lie_in_their_intervals(spec: ProbeSpec, number: int) -> None:
    """In at least 99.9 % of the cases; and the intervals are as wide as slots and answers make them."""
    seen = list(cases(number, spec))

    assert not any(case.seen.rto_s.censored for case in seen)
    outside = [case.truth for case in seen if not case.held]
    assert len(outside) <= 0.001 * number, f"{len(outside)} of {number} were outside, such as {outside[0]}"
    assert statistics.median(case.width_s for case in seen) <= spec.every_s + 0.05


def test_an_outage_shorter_than_a_slot_that_begins_late_is_right_or_unseen() -> None:
    """With a slow request pending, a success sent after it can have been decided before the outage."""
    rng = Random(SEED)
    machine = Machine(request_s=0.1, slow_share=0.2)
    outside = seen = 0
    for _ in range(2_000):
        begin = rng.uniform(2.5, 5.0)
        truth = Outages(2.0, ((begin, begin + rng.uniform(0.2, 0.7)),))
        episode = Episode(bracketed(truth, machine, rng), 40.0, 12.0, stable_s=3.0)
        found = probe_outage(SERVING, probed(SERVING, truth, machine, rng, until=12.0), episode)
        if found.first_bad is not None:
            seen += 1
            outside += not found.rto_s.holds(truth.rto_s)
    assert seen > 500
    assert outside == 0


def _held_of_all(rng: Random) -> tuple[float, RecoveryMeasurement]:
    """One fault that takes several targets away, each for a time of its own, some not at all."""
    machine = Machine(clock_error_s=0.002)
    fault = rng.uniform(2.0, 3.0)
    each = {
        spec: Outages(fault, ((fault, fault + rng.uniform(2.0, 6.0)),) if rng.random() < 0.7 else ())
        for spec in (SERVING, CAPACITY, CANARY)
    }
    over = fault + 6.0 + 3.0 + 3.0
    episode = Episode(bracketed(each[SERVING], machine, rng), 40.0, over, stable_s=3.0, clock_error_s=0.002)
    probes = {spec: probed(spec, truth, machine, rng, until=over) for spec, truth in each.items()}
    measured = measure_recovery(episode, probes, controlled(until=over))
    return max(truth.rto_s for truth in each.values()), measured


def test_of_several_targets_the_last_to_come_back_counts() -> None:
    rng = Random(SEED)
    results = [_held_of_all(rng) for _ in range(500)]
    assert not [measured.voids for _, measured in results if measured.voids]
    assert sum(measured.rto_s.holds(true_s) for true_s, measured in results) >= 0.999 * len(results)


@settings(max_examples=100, deadline=None)
@given(
    length_s=st.floats(0.0, 25.0),
    phase_s=st.floats(0.0, 1.0),
    delay_s=st.one_of(st.just(0.0), st.floats(0.0, 8.0)),
    spec=st.sampled_from((SERVING, CANARY)),
    hangs=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_an_outage_of_any_length_at_any_phase_of_the_slots(
    length_s: float, phase_s: float, delay_s: float, spec: ProbeSpec, hangs: bool, seed: int
) -> None:
    """In the lab's own terms: W of ten seconds, a slot every half or whole second."""
    rng = Random(seed)
    machine = Machine(slow_share=0.0, hang_share=float(hangs), clock_error_s=0.001)
    begin = 5.0 + phase_s + (delay_s if length_s > spec.widest_s + spec.limit_s else 0.0)
    truth = Outages(5.0 + phase_s, ((begin, begin + length_s),))
    episode = Episode(bracketed(truth, machine, rng), 75.0, 55.0, clock_error_s=0.001)

    seen = probe_outage(spec, probed(spec, truth, machine, rng, until=55.0), episode)

    assert seen.rto_s.holds(truth.rto_s)
    if seen.first_bad is not None:
        assert seen.rto_s.upper_s is not None
        most_s = spec.every_s + 2 * machine.jitter_s + spec.limit_s + 0.6 + 4 * 0.001 + 0.01
        assert seen.rto_s.upper_s - seen.rto_s.lower_s <= most_s


@pytest.mark.parametrize("hang_share", [0.0, 1.0])
def test_an_outage_without_length_leaves_an_interval_from_nothing(hang_share: float) -> None:
    truth = Outages(5.2, ((5.2, 5.2),))
    machine = Machine(jitter_s=0.0, request_s=0.01, slow_share=0.0, hang_share=hang_share)
    episode = Episode(bracketed(truth, machine, Random(1), 0.0), 40.0, 30.0)
    seen = probe_outage(SERVING, probed(SERVING, truth, machine, Random(1)), episode)
    assert (seen.first_bad, seen.rto_s.lower_s) == (None, 0.0)
    assert seen.rto_s.upper_s == pytest.approx(0.3, abs=0.05)


def test_an_outage_from_before_the_first_slot_is_measured_all_the_same() -> None:
    truth = Outages(0.1, ((0.1, 4.3),))
    episode = Episode(bracketed(truth, QUIET, Random(1), 0.0), 40.0, 30.0)
    seen = probe_outage(SERVING, probed(SERVING, truth, QUIET, Random(1), begin=0.5), episode)
    assert seen.rto_s.holds(4.2)


def test_an_outage_in_the_last_slot_is_censored() -> None:
    truth = Outages(29.8, ((29.8, 31.0),))
    episode = Episode(bracketed(truth, QUIET, Random(1), 0.0), 40.0, 30.0)
    seen = probe_outage(SERVING, probed(SERVING, truth, QUIET, Random(1)), episode)
    assert (seen.recovery, seen.rto_s.upper_s) == (None, None)
    assert seen.rto_s.lower_s == pytest.approx(0.2, abs=0.01)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 60.0), st.integers(0, 2**32))
def test_a_record_that_ends_before_recovery_gives_no_upper_bound(watched_s: float, seed: int) -> None:
    """However short the record: what it can't show yet is never bounded, and the lower bound is true."""
    rng = Random(seed)
    truth = Outages(3.0, ((3.0, 40.0),))
    machine = Machine()
    episode = Episode(bracketed(truth, machine, rng), 75.0, watched_s)
    measured = measure_recovery(
        episode, {SERVING: probed(SERVING, truth, machine, rng, until=watched_s)}, controlled(until=watched_s)
    )
    assert (measured.recovered, measured.rto_s.upper_s) == (None, None) or watched_s > 49.0
    assert measured.rto_s.lower_s <= truth.rto_s
    assert measured.voids or watched_s > 49.0


@settings(max_examples=100, deadline=None)
@given(st.floats(60.0, 500.0), st.integers(0, 2**32))
def test_what_comes_back_after_the_deadline_is_censored_there(away_s: float, seed: int) -> None:
    """Watched to the end, it is no void; the lower bound is at most a slot short of the deadline."""
    rng = Random(seed)
    truth = Outages(3.0, ((3.0, 3.0 + away_s),))
    episode = Episode(bracketed(truth, QUIET, rng), 45.0, 60.0)
    measured = measure_recovery(
        episode, {SERVING: probed(SERVING, truth, QUIET, rng, until=60.0)}, controlled(until=60.0)
    )
    assert (measured.voids, measured.recovered, measured.rto_s.upper_s) == ((), None, None)
    assert 45.0 - SERVING.every_s - 0.1 <= measured.rto_s.lower_s <= 45.0
