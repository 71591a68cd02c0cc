"""A limit stretches by what the machine is to blame for, and by no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from graders.sandbox.starvation import Scheduled
from graders.scenario import deadlines
from graders.scenario.deadlines import (
    MOST_CHURN,
    MOST_REQUESTS_PER_S,
    MOST_STRETCH,
    MOST_WRITES,
    AdaptiveDeadline,
    LearnerClock,
)
from graders.scenario.environment import ApiUsage, Environment

LIMIT_S = 10.0


@dataclass
class Machine:
    """What the kernel and the cluster tell of it; the clock moves when a test says so."""

    now: float = 0.0
    scheduled: Scheduled = field(default_factory=Scheduled)
    slowdown: float = 1.0
    api_slow_s: float = 0.0
    answers_slow_s: float = 0.0
    asked: ApiUsage = field(default_factory=lambda: ApiUsage({}, 0))

    def patience(self) -> AdaptiveDeadline:
        return AdaptiveDeadline(self.env(), "track", self.now, LIMIT_S)

    def operators_clock(self) -> LearnerClock:
        return LearnerClock(self.env())

    def env(self) -> Environment:
        clock = SimpleNamespace(now=lambda: self.now)
        env = SimpleNamespace(
            kube=None,
            own_namespace="own",
            recording=SimpleNamespace(clock=clock),
            scheduled=lambda: self.scheduled,
            usage=lambda track: {"track": self.asked}[track],
            answers_slow_s=lambda: self.answers_slow_s,
            health=SimpleNamespace(slow_s=lambda since: self.api_slow_s),
            kept_since=lambda before: self.scheduled.waited_s - before,
        )
        return cast(Environment, env)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(deadlines, "slowdown", lambda *_: found.slowdown)
    return found


def test_the_operators_clock_stands_still_for_what_the_machine_takes(machine: Machine) -> None:
    clock = machine.operators_clock()
    machine.now = 2.0
    assert clock.now() == pytest.approx(2.0)
    machine.now, machine.scheduled = 4.0, Scheduled(ran_s=1.0, waited_s=1.0)
    assert clock.now() == pytest.approx(3.0)
    machine.now, machine.api_slow_s = 5.0, 0.5
    assert clock.now() == pytest.approx(3.5)


def test_it_never_stands_still_altogether_and_never_goes_back(machine: Machine) -> None:
    clock = machine.operators_clock()
    machine.now, machine.scheduled = 8.0, Scheduled(ran_s=0.0, waited_s=30.0)
    assert clock.now() == pytest.approx(8.0 / (1 + MOST_STRETCH))
    # An operator that was started anew has waited less than the one before it.
    machine.now, machine.scheduled = 9.0, Scheduled()
    assert clock.now() == pytest.approx(8.0 / (1 + MOST_STRETCH) + 1.0)
    assert clock.now() == pytest.approx(8.0 / (1 + MOST_STRETCH) + 1.0)


def test_on_a_machine_that_keeps_up_a_limit_is_a_limit(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S
    assert waiting.left_s() == 0.0
    assert not waiting.starved()


def test_time_without_a_processor_is_given_back(machine: Machine) -> None:
    machine.scheduled = Scheduled(ran_s=5.0, waited_s=2.0)
    waiting = machine.patience()
    machine.now, machine.scheduled = LIMIT_S, Scheduled(ran_s=6.0, waited_s=6.0)
    assert waiting.left_s() == pytest.approx(4.0)
    assert not waiting.starved()


def test_a_cluster_that_is_slow_just_now_stretches_in_proportion(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown = LIMIT_S, 1.5
    assert waiting.left_s() == pytest.approx(5.0)


def test_time_the_api_server_took_is_given_back(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.api_slow_s = LIMIT_S, 4.0
    assert waiting.left_s() == pytest.approx(4.0)


def test_so_is_what_the_operators_own_requests_took_too_long(machine: Machine) -> None:
    """One worker may have the jobs of all tracks to see to, one request after another."""
    machine.answers_slow_s = 30.0
    waiting, clock = machine.patience(), machine.operators_clock()
    machine.now, machine.answers_slow_s = LIMIT_S, 36.0
    assert waiting.left_s() == pytest.approx(6.0)
    assert clock.now() == pytest.approx(4.0)
    # What the harness's own probe found at the same time is not given back twice.
    machine.api_slow_s = 2.0
    assert waiting.left_s() == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("harness_slow_s", "starved"), [(0.0, False), (10.0, False), (16.0, True)], ids=["not", "somewhat", "too"]
)
def test_slow_answers_count_as_far_as_the_harness_was_kept_waiting(
    machine: Machine, harness_slow_s: float, starved: bool
) -> None:
    """An operator can ask for what takes long: that alone never leaves a submission ungraded."""
    waiting = machine.patience()
    machine.now, machine.answers_slow_s = LIMIT_S * (1 + MOST_STRETCH), 38.0
    machine.api_slow_s = harness_slow_s
    assert waiting.left_s() == pytest.approx(0.0)
    assert waiting.starved() is starved


def test_what_was_granted_is_not_taken_back(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown = LIMIT_S, 3.0
    assert waiting.left_s() == pytest.approx(20.0)
    machine.now, machine.slowdown = 2 * LIMIT_S, 1.0
    assert waiting.left_s() == pytest.approx(10.0)


def test_a_machine_that_recovers_at_the_end_is_at_fault_all_the_same(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown, machine.api_slow_s = LIMIT_S, 4.0, 8.0
    assert waiting.left_s() == pytest.approx(MOST_STRETCH * LIMIT_S)
    machine.now, machine.slowdown, machine.api_slow_s = LIMIT_S * (1 + MOST_STRETCH), 1.0, 31.0
    assert waiting.left_s() == pytest.approx(0.0)
    assert waiting.starved()


def test_there_is_an_end_and_then_the_machine_is_at_fault(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S * (1 + MOST_STRETCH)
    machine.scheduled = Scheduled(ran_s=3.0, waited_s=35.0)
    assert waiting.left_s() == pytest.approx(0.0)
    assert waiting.starved()


def test_an_operator_that_used_the_time_has_itself_to_blame(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S * (1 + MOST_STRETCH)
    machine.scheduled = Scheduled(ran_s=30.0, waited_s=35.0)
    assert waiting.left_s() == pytest.approx(0.0)
    assert not waiting.starved()


def test_a_machine_that_kept_up_for_a_whole_limit_is_not_at_fault(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown, machine.api_slow_s = LIMIT_S, 4.0, 8.0
    assert waiting.left_s() == pytest.approx(MOST_STRETCH * LIMIT_S)
    machine.now, machine.slowdown = LIMIT_S * (1 + MOST_STRETCH), 1.2
    assert waiting.left_s() == pytest.approx(0.0)
    assert not waiting.starved()


@pytest.mark.parametrize(
    ("before", "after", "starved"),
    [
        (
            ApiUsage({"a": 500}, 900),
            ApiUsage({"a": 500 + MOST_WRITES, "b": MOST_WRITES}, 900 + MOST_CHURN),
            True,
        ),
        (ApiUsage({"a": 5}, 0), ApiUsage({"a": 5, "b": MOST_WRITES + 1}, 0), False),
        (ApiUsage({}, 40), ApiUsage({}, 41 + MOST_CHURN), False),
        (ApiUsage({}, 0, 900), ApiUsage({}, 0, 901 + int(40 * MOST_REQUESTS_PER_S)), False),
    ],
    ids=["as-a-sound-one", "writes-without-end", "makes-and-removes-without-end", "asks-without-end"],
)
def test_an_operator_that_floods_keeps_the_machine_busy_itself(
    machine: Machine, before: ApiUsage, after: ApiUsage, starved: bool
) -> None:
    machine.asked = before
    waiting = machine.patience()
    machine.now = LIMIT_S * (1 + MOST_STRETCH)
    machine.scheduled, machine.asked = Scheduled(ran_s=3.0, waited_s=35.0), after
    assert waiting.left_s() == pytest.approx(0.0)
    assert waiting.starved() is starved
