"""Recovery in the terms of the lab: what R is, what it moves behind, what is censored, what is decided."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import Record
from graders.recovery.intervals import NOTHING, Interval, TargetVerdict, decide, largest
from graders.recovery.outages import Episode, Injection, ProbeOutage, RunbookAct, probe_outage
from graders.recovery.probes import CANARY, CAPACITY, SERVING, WRITE, ProbeSpec, Slots
from graders.recovery.records import LedgerWrite, ProbeSample, RestoredRecord, StarvationSample
from graders.recovery.rto import RecoveryMeasurement, measure_recovery
from tests.unit.outages import Machine, Outages, Stretch, controlled, probed
from tests.unit.synthetic_bundle import make_manifest

FAULT = 10.1
QUIET = Machine(jitter_s=0.0, request_s=0.02, slow_share=0.0, hang_share=0.0)
UNTIL = 80.0


def episode(deadline_s: float = 40.0, ended: float = UNTIL, **changes: object) -> Episode:
    return Episode(Injection(FAULT, FAULT), deadline_s, ended, clock_error_s=0.0, **changes)  # type: ignore[arg-type]


def samples(*away: Stretch, spec: ProbeSpec = SERVING, until: float = UNTIL) -> list[ProbeSample]:
    return probed(spec, Outages(FAULT, away), QUIET, Random(1), until=until)


def seen(*away: Stretch, terms: Episode | None = None) -> ProbeOutage:
    return probe_outage(SERVING, samples(*away), terms or episode())


def measured(*away: Stretch, terms: Episode | None = None, **others: str) -> RecoveryMeasurement:
    return measure_recovery(terms or episode(), {SERVING: samples(*away)}, controlled(until=UNTIL), **others)


def bounds(interval: Interval) -> tuple[float, float | None]:
    """To a tenth of a second: the requests take a little."""
    return round(interval.lower_s, 1), None if interval.upper_s is None else round(interval.upper_s, 1)


# Records


RECORDS: tuple[Record, ...] = (
    ProbeSample(1.0, None, "serving", 2, 1.0, ok=False, error="refused", cluster="lab1"),
    StarvationSample(1.0, 1.06, 1.0, 0.05),
    LedgerWrite(1.0, 1.1, "serving", "models", 1, "create", "ledger-1", "status", "owner", "lab1"),
    RestoredRecord(9.0, "serving", "models", "ledger-1", "1", "1.000000", "ab", "status", "owner", "lab1"),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_bundle_gives_back_the_records_of_the_lab(record: Record, tmp_path: Path) -> None:
    with BundleWriter(tmp_path) as writer:
        writer.add(record)
        writer.close(make_manifest())
    bundle = Bundle(tmp_path)
    assert bundle.records(type(record)) == (record,)
    assert bundle.on("lab1").records(type(record)) == ((record,) if hasattr(record, "cluster") else ())


def test_the_control_is_late_by_what_it_took_longer_than_its_work() -> None:
    assert StarvationSample(2.3, 2.6, 2.0, 0.05).late_s == pytest.approx(0.55)


# Slots and probes


def test_slots_do_not_drift_and_those_between_are_counted_with_both_ends() -> None:
    slots = Slots(0.1, 0.5)
    assert slots.due(100_000) == pytest.approx(50_000.1, abs=1e-9)
    assert [slots.due(number) for number in slots.between(0.6, 1.6)] == pytest.approx([0.6, 1.1, 1.6])
    assert list(slots.between(5.0, 4.0)) == []
    assert list(slots.between(-3.0, 0.2)) == [0]


@pytest.mark.parametrize(
    ("t_end", "ok", "failed"),
    [(1.0, True, False), (1.001, True, True), (0.1, False, True), (None, True, True), (None, False, True)],
)
def test_a_slot_fails_by_a_bad_answer_a_late_one_or_none(t_end: float | None, ok: bool, failed: bool) -> None:
    sample = ProbeSample(0.0, t_end, "serving", 0, 0.0, ok)
    assert SERVING.failed(sample) is failed
    assert SERVING.failed_by(sample) == (1.0 if t_end is None else min(t_end, 1.0))


def test_a_slow_machine_has_more_time_to_answer_and_no_more_between_slots() -> None:
    slow = CANARY.scaled(1.5)
    assert (slow.limit_s, slow.every_s, slow.widest_s) == (3.0, 1.0, 2.0)
    assert CANARY.scaled(0.5) == CANARY


# R


def test_rto_lies_between_the_last_failure_and_the_answer_of_the_first_success() -> None:
    found = seen((FAULT, 15.2))
    assert found.first_bad is not None
    assert found.last_bad is not None
    assert found.recovery is not None
    assert [each.due for each in (found.first_bad, found.last_bad, found.recovery)] == [10.5, 15.0, 15.5]
    assert bounds(found.rto_s) == (4.9, 5.4)


def test_a_relapse_within_w_is_the_same_outage_and_a_later_one_another() -> None:
    assert bounds(seen((FAULT, 12.2), (20.2, 21.2)).rto_s) == (10.9, 11.4)
    assert bounds(seen((FAULT, 12.2), (23.2, 25.2)).rto_s) == (1.9, 2.4)


def test_flaps_are_one_outage_until_the_last() -> None:
    flaps = [(FAULT + 3 * number, FAULT + 3 * number + 1.6) for number in range(5)]
    found = seen(*flaps)
    assert bounds(found.rto_s) == (13.4, 13.9)
    assert found.first_bad is not None
    assert found.first_bad.due == 10.5


def test_service_that_flaps_without_end_never_recovers() -> None:
    found = measured(*((FAULT + 8 * number, FAULT + 8 * number + 1.0) for number in range(9)))
    assert (found.recovered, found.voids, found.rto_s.upper_s) == (None, (), None)
    assert 32.0 <= found.rto_s.lower_s <= 40.0


def test_what_fails_only_long_after_the_fault_is_its_outage_still() -> None:
    """Pods of a dead node stay ready until the grace is over."""
    found = seen((FAULT + 12.0, FAULT + 15.0))
    assert bounds(found.rto_s) == (14.9, 15.4)


def test_an_answer_that_is_sent_before_the_deadline_counts_and_one_after_does_not() -> None:
    assert bounds(seen((FAULT, 50.0)).rto_s) == (39.4, 39.9)
    assert bounds(seen((FAULT, 50.2)).rto_s) == (39.9, None)


def test_only_a_record_of_all_of_w_shows_a_recovery() -> None:
    """The fault at 10.1, back for the slot at 15.5, so W is over at 25.5, and a gap may be 1 s."""
    for until, shown in ((25.0, True), (24.5, False)):
        found = probe_outage(SERVING, samples((FAULT, 15.2), until=until), episode())
        assert (found.recovery is not None, found.cut_short) == (shown, not shown)


def test_w_begins_with_the_answer_of_a_request_that_was_held() -> None:
    """Sent at 12, answered when all was back at 13.9: a failure sent at 23 is within ten seconds of that."""

    def sample(slot: int, ok: bool) -> ProbeSample:
        return ProbeSample(float(slot), slot + (1.9 if slot == 12 else 0.1), "canary", slot, float(slot), ok)

    slots = [sample(slot, ok=slot not in (11, 23)) for slot in range(9, 40)]
    found = probe_outage(CANARY, slots, episode())
    assert found.recovery is not None
    assert found.recovery.slot == 24


def test_each_difference_of_two_readings_errs_by_twice_the_error_of_the_clock() -> None:
    exact = seen((FAULT, 15.2))
    vague = seen((FAULT, 15.2), terms=replace(episode(), clock_error_s=0.1))
    one, other = exact.rto_s, vague.rto_s
    assert one.upper_s is not None
    assert other.lower_s == pytest.approx(one.lower_s - 0.2)
    assert other.upper_s == pytest.approx(one.upper_s + 0.2)


# Acts of the runbook


def test_an_act_long_after_an_early_recovery_shows_that_it_was_none() -> None:
    """An empty cluster serves after 3 s and is filled 20 s later: both bounds move, or the lower passes."""
    act = RunbookAct(30.2, 30.3, "write")
    found = measured((FAULT, 13.2), terms=episode(acts=(act,)))
    assert found.behind == act
    assert bounds(found.rto_s) == (20.1, 20.4)
    assert not found.voids


def test_an_act_within_five_seconds_of_recovery_belongs_to_it() -> None:
    found = measured((FAULT, 13.2), terms=episode(acts=(RunbookAct(18.5, 18.6),)))
    assert (found.behind, bounds(found.rto_s)) == (None, (2.9, 3.4))


def test_recovery_moves_behind_the_last_of_several_acts() -> None:
    acts = (RunbookAct(26.0, 26.4), RunbookAct(12.0, 12.1), RunbookAct(20.0, 20.1))
    assert bounds(measured((FAULT, 13.2), terms=episode(acts=acts)).rto_s) == (15.9, 16.4)


def test_an_act_while_another_probe_is_away_moves_nothing() -> None:
    terms = episode(acts=(RunbookAct(19.0, 19.1),))
    probes = {SERVING: samples((FAULT, 12.2)), CANARY: samples((FAULT, 18.2), spec=CANARY)}
    found = measure_recovery(terms, probes, controlled(until=UNTIL))
    assert (found.behind, bounds(found.rto_s)) == (None, (7.9, 8.9))


def test_an_act_after_the_deadline_leaves_a_lower_bound_only() -> None:
    found = measured((FAULT, 13.2), terms=episode(acts=(RunbookAct(51.0, 51.1),)))
    assert bounds(found.rto_s) == (40.9, None)
    assert found.recovered is None


# All probes together


def test_of_several_targets_one_that_is_away_counts() -> None:
    probes = {WRITE: samples(), SERVING: samples((FAULT, 11.9)), CAPACITY: samples((FAULT, 17.2))}
    found = measure_recovery(episode(), probes, controlled(until=UNTIL))
    assert found.failed_probes == ("serving", "capacity")
    assert bounds(found.rto_s) == (6.9, 7.4)
    assert found.recovered == pytest.approx(17.5, abs=0.05)


def test_one_target_that_stays_away_censors_all() -> None:
    probes = {SERVING: samples((FAULT, 11.9)), CAPACITY: samples((FAULT, 70.0))}
    found = measure_recovery(episode(), probes, controlled(until=UNTIL))
    assert (found.recovered, bounds(found.rto_s)) == (None, (39.9, None))


def test_a_runbook_that_fails_recovers_nothing_however_well_all_serves() -> None:
    found = measured((FAULT, 11.9), terms=episode(restored=False))
    assert (found.recovered, found.rto_s, found.voids) == (None, Interval(40.0, None), ())
    early = measured((FAULT, 11.9), terms=episode(restored=False, ended=30.0))
    assert (early.rto_s.upper_s, early.voids) == (None, ())
    assert early.rto_s.lower_s == pytest.approx(19.9)


def test_a_fault_that_no_probe_saw_is_near_zero_or_void() -> None:
    found = measured()
    assert (found.failed_probes, found.voids, bounds(found.rto_s)) == ((), (), (0.0, 0.4))
    judged_by_all = measured(unseen="no probe failed, though all four judge")
    assert judged_by_all.voids == ("no probe failed, though all four judge",)
    assert judged_by_all.counts is None
    assert measured((FAULT, 12.0), unseen="no probe failed").voids == ()


def test_a_fault_without_probes_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="max"):
        measure_recovery(episode(), {}, controlled())


def test_an_injection_ends_after_it_began() -> None:
    with pytest.raises(ValueError, match=r"a fault that began at 2\.0 was not done at 1\.0"):
        Injection(2.0, 1.0)
    with pytest.raises(ValueError, match="nan"):
        Injection(math.nan, 1.0)


# Intervals and targets


@pytest.mark.parametrize(
    ("lower_s", "upper_s"),
    [(-0.1, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan), (math.inf, None), (0.0, math.inf)],
)
def test_what_is_no_interval_of_durations_is_refused(lower_s: float, upper_s: float | None) -> None:
    with pytest.raises(ValueError, match="bound"):
        Interval(lower_s, upper_s)


def test_an_interval_holds_its_ends_and_a_censored_one_all_above() -> None:
    assert all(Interval(1.0, 2.0).holds(value) for value in (1.0, 1.5, 2.0))
    assert not any(Interval(1.0, 2.0).holds(value) for value in (0.999, 2.001))
    assert Interval(1.0, None).holds(1e9)
    assert (Interval(1.0, 2.0).within(2.0), Interval(1.0, 2.0).within(1.9)) == (True, False)
    assert not Interval(1.0, None).within(1e9)
    assert NOTHING.within(0.0)


TRUE_AND_AROUND = st.tuples(st.floats(0, 100), st.floats(0, 5), st.one_of(st.none(), st.floats(0, 5)))


@given(st.lists(TRUE_AND_AROUND, min_size=1))
def test_the_largest_of_several_lies_in_the_largest_of_their_intervals(
    several: list[tuple[float, float, float | None]],
) -> None:
    intervals = [
        Interval(max(0.0, true - under), None if over is None else true + over)
        for true, under, over in several
    ]
    assert largest(intervals).holds(max(true for true, _, _ in several))
    assert largest(intervals).censored == any(over is None for _, _, over in several)


GOOD, BETWEEN, BAD, CENSORED = (
    Interval(8.0, 10.0), Interval(9.9, 10.1), Interval(10.1, 11.0), Interval(5.0, None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("measurements", "verdict"),
    [
        ((), TargetVerdict.REPEAT),
        ((GOOD,), TargetVerdict.MET),
        ((BAD,), TargetVerdict.MISSED),
        ((CENSORED,), TargetVerdict.MISSED),
        ((BETWEEN,), TargetVerdict.REPEAT),
        ((BETWEEN, GOOD), TargetVerdict.MET),
        ((BETWEEN, BETWEEN), TargetVerdict.MET),
        ((BETWEEN, BAD), TargetVerdict.MISSED),
        ((BETWEEN, CENSORED), TargetVerdict.MISSED),
        ((None,), TargetVerdict.REPEAT),
        ((None, GOOD), TargetVerdict.MET),
        ((None, BAD), TargetVerdict.MISSED),
        ((None, BETWEEN), TargetVerdict.REPEAT),
        ((None, BETWEEN, BETWEEN), TargetVerdict.MET),
        ((BETWEEN, None), TargetVerdict.REPEAT),
        ((BETWEEN, None, GOOD), TargetVerdict.MET),
        ((BETWEEN, None, None), TargetVerdict.UNGRADED),
        ((None, BETWEEN, None), TargetVerdict.UNGRADED),
        ((None, None), TargetVerdict.UNGRADED),
    ],
)
def test_repeated_measurements_decide_without_averaging(
    measurements: tuple[Interval | None, ...], verdict: TargetVerdict
) -> None:
    """The target is 10 s."""
    assert decide(measurements, 10.0) is verdict
