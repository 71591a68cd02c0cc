"""A stalled prober and a starved processor void a measurement, always; an instrument in time never does."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.recovery.outages import Episode, Injection
from graders.recovery.probes import CANARY, SERVING, ProbeSpec
from graders.recovery.records import ProbeSample, StarvationSample
from graders.recovery.rto import RecoveryMeasurement, measure_recovery
from graders.recovery.voids import stalled, starved
from tests.unit.outages import Machine, Outages, Stretch, controlled, probed

FAULT, BACK, UNTIL = 5.0, 12.0, 30.0
TRUTH = Outages(FAULT, ((FAULT, BACK),))
BUSY = Machine(jitter_s=0.1, hang_share=0.5)
IN_TIME = controlled(until=UNTIL)


def measured(
    samples: list[ProbeSample],
    control: list[StarvationSample] | None = None,
    *,
    spec: ProbeSpec = SERVING,
    dead: tuple[str, ...] = (),
    ended: float = UNTIL,
) -> RecoveryMeasurement:
    terms = Episode(Injection(FAULT - 0.1, FAULT + 0.1), 60.0, ended)
    return measure_recovery(terms, {spec: samples}, IN_TIME if control is None else control, dead=dead)


def probes(
    seed: int, spec: ProbeSpec = SERVING, stalls: tuple[Stretch, ...] = (), until: float = UNTIL
) -> list[ProbeSample]:
    return probed(spec, TRUTH, BUSY, Random(seed), until=until, stalls=stalls)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((SERVING, CANARY)))
def test_an_instrument_in_time_voids_nothing(seed: int, spec: ProbeSpec) -> None:
    assert measured(probes(seed, spec), spec=spec).voids == ()


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    spec=st.sampled_from((SERVING, CANARY)),
    begin=st.floats(FAULT - 0.1, BACK + 8.0),
    over_s=st.floats(0.001, 30.0),
    caught_up=st.booleans(),
)
def test_a_stalled_prober_is_always_found(
    seed: int, spec: ProbeSpec, begin: float, over_s: float, caught_up: bool
) -> None:
    """Longer than a gap may be, wherever it is: slots sent at once at its end, or left out for good."""
    stall = (begin, begin + spec.widest_s + over_s)
    if caught_up:
        samples = probes(seed, spec, (stall,))
    else:
        samples = [each for each in probes(seed, spec) if not stall[0] <= each.t < stall[1]]
    assert any("sent nothing for" in each for each in measured(samples, spec=spec).voids)


def test_ten_thousand_stalls_are_all_found() -> None:
    rng = Random(20_300_101)
    pool = [probes(seed) for seed in range(50)]
    for _ in range(10_000):
        begin = rng.uniform(FAULT - 0.1, BACK + 8.0)
        end = begin + SERVING.widest_s + rng.uniform(0.001, 20.0)
        left = [each for each in rng.choice(pool) if not begin <= each.t < end]
        assert stalled(SERVING, left, FAULT, BACK + 10.0), (begin, end)


def test_a_stall_before_the_fault_or_after_w_says_nothing_of_the_recovery() -> None:
    for stall in ((1.0, 4.0), (BACK + 11.5, BACK + 15.0)):
        assert measured(probes(1, stalls=(stall,))).voids == ()


def test_a_stall_over_the_fault_itself_is_found() -> None:
    found = measured(probes(1, stalls=((FAULT - 1.0, FAULT + 0.5),)))
    assert any("sent nothing for" in each for each in found.voids)


@pytest.mark.parametrize("ended", [9.0, 14.0, 20.0])
def test_a_record_that_ends_too_early_is_void_and_no_failure(ended: float) -> None:
    """In the outage, or within W of its end: the learner's runbook may have been fine."""
    found = measured(probes(1, until=ended), ended=ended)
    assert "the record of probe serving ends before it could show a recovery" in found.voids
    assert found.counts is None
    assert found.rto_s.upper_s is None


@pytest.mark.parametrize("samples", [[], probes(1)[12:]])
def test_a_probe_without_a_slot_before_the_fault_is_void(samples: list[ProbeSample]) -> None:
    if samples:
        assert "probe serving has no slot before 4.900 s" in measured(samples).voids
    assert stalled(SERVING, samples, 4.9, 20.0) == "probe serving has no slot before 4.900 s"


def test_a_dead_process_of_the_harness_voids() -> None:
    assert measured(probes(1), dead=("the fault proxy",)).voids == ("the fault proxy died",)


# The processor


@pytest.mark.parametrize(
    ("late_s", "slots_late", "void"),
    [(0.5, 1, False), (0.5, 2, True), (0.5, 20, True), (0.29, 20, False), (0.31, 20, True)],
)
def test_a_tenth_of_late_slots_starves(late_s: float, slots_late: int, void: bool) -> None:
    """Twenty slots are due from 5.0 s to 14.9 s."""
    control = controlled(until=UNTIL, late=((6.0, 6.0 + 0.5 * slots_late),), late_s=late_s)
    assert bool(starved(control, 5.0, 14.9)) is void


def test_a_starved_processor_voids_though_every_slot_of_the_probes_was_in_time() -> None:
    found = measured(probes(1), controlled(until=UNTIL, late=((8.0, 9.1),)))
    assert found.voids == ("the processor was starved in 3 of 15 slots of its control",)
    assert found.recovered is not None


def test_starvation_before_the_fault_and_after_recovery_voids_nothing() -> None:
    control = controlled(until=UNTIL, late=((0.0, 4.9), (BACK + 0.8, UNTIL)))
    assert measured(probes(1), control).voids == ()


@given(st.floats(FAULT, BACK - 1.6), st.floats(1.5, 20.0), st.booleans())
def test_a_control_that_is_late_or_silent_for_long_always_voids(
    begin: float, length_s: float, silent: bool
) -> None:
    """Three slots of fifteen at least, whether they came late or not at all."""
    stretch = (begin, begin + length_s)
    if silent:
        control = [each for each in IN_TIME if not stretch[0] <= each.due < stretch[1]]
    else:
        control = controlled(until=UNTIL, late=(stretch,), late_s=0.4)
    assert starved(control, FAULT - 0.1, BACK)


def test_a_control_that_was_not_there_voids() -> None:
    assert starved([], 5.0, 9.0) == "the control of the processor took no sample"
    late_begin = [each for each in IN_TIME if each.due >= 8.0]
    assert starved(late_begin, 5.0, 9.0) == "the control of the processor began only at 8.000 s"
    assert starved([each for each in IN_TIME if each.due < 5.0], 5.0, 9.0)


def test_a_short_recovery_is_held_against_the_next_slot_of_the_control() -> None:
    assert not starved(IN_TIME, 5.1, 5.2)
    assert starved(controlled(until=UNTIL, late=((5.5, 5.6),)), 5.1, 5.2)
