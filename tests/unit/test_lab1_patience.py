"""A limit stretches by what the machine is to blame for, and by no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from graders.lab1 import patience
from graders.lab1.patience import MOST_STRETCH, Patience
from graders.lab1.world import World
from graders.sandbox.starvation import Scheduled

LIMIT_S = 10.0


@dataclass
class Machine:
    """What the kernel and the cluster tell of it; the clock moves when a test says so."""

    now: float = 0.0
    scheduled: Scheduled = field(default_factory=Scheduled)
    slowdown: float = 1.0

    def patience(self) -> Patience:
        clock = SimpleNamespace(now=lambda: self.now)
        world = SimpleNamespace(
            kube=None,
            recording=SimpleNamespace(clock=clock),
            scheduled=lambda: self.scheduled,
            kept_since=lambda before: self.scheduled.waited_s - before,
        )
        return Patience(cast(World, world), self.now, LIMIT_S)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(patience, "slowdown", lambda _: found.slowdown)
    return found


def test_on_a_machine_that_keeps_up_a_limit_is_a_limit(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S
    assert waiting.left_s() == 0.0
    assert not waiting.in_vain()


def test_time_without_a_processor_is_given_back(machine: Machine) -> None:
    machine.scheduled = Scheduled(ran_s=5.0, waited_s=2.0)
    waiting = machine.patience()
    machine.now, machine.scheduled = LIMIT_S, Scheduled(ran_s=6.0, waited_s=6.0)
    assert waiting.left_s() == pytest.approx(4.0)
    assert not waiting.in_vain()


def test_a_cluster_that_is_slow_just_now_stretches_in_proportion(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown = LIMIT_S, 1.5
    assert waiting.left_s() == pytest.approx(5.0)


def test_there_is_an_end_and_then_the_machine_is_at_fault(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S * (1 + MOST_STRETCH)
    machine.scheduled = Scheduled(ran_s=3.0, waited_s=35.0)
    assert waiting.left_s() == pytest.approx(0.0)
    assert waiting.in_vain()


def test_an_operator_that_used_the_time_has_itself_to_blame(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now = LIMIT_S * (1 + MOST_STRETCH)
    machine.scheduled = Scheduled(ran_s=30.0, waited_s=35.0)
    assert waiting.left_s() == pytest.approx(0.0)
    assert not waiting.in_vain()


def test_a_machine_that_has_recovered_by_then_is_not_at_fault(machine: Machine) -> None:
    waiting = machine.patience()
    machine.now, machine.slowdown = LIMIT_S, 4.0
    assert waiting.left_s() == pytest.approx(MOST_STRETCH * LIMIT_S)
    machine.now, machine.slowdown = LIMIT_S * (1 + MOST_STRETCH), 1.2
    assert waiting.left_s() < 0
    assert not waiting.in_vain()
