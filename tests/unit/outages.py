"""Synthetic outages of known length, and what an open-loop probe on a given machine records of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from graders.recovery.outages import Injection
from graders.recovery.probes import ProbeSpec, Slots
from graders.recovery.records import ProbeSample, StarvationSample
from graders.recovery.voids import CONTROL_EVERY_S

Stretch = tuple[float, float]
"""From when to when, the end not included."""

WORK_S = 0.05


@dataclass(frozen=True)
class Machine:
    """How far a prober is from an ideal one: errors and delays in seconds, shares from 0 to 1."""

    jitter_s: float = 0.05
    request_s: float = 0.02
    slow_share: float = 0.05
    hang_share: float = 0.5
    clock_error_s: float = 0.0
    late_share: float = 0.0
    late_s: float = 0.3


@dataclass(frozen=True)
class Outages:
    """The truth: when the fault came, and when the service was away."""

    fault: float
    away: tuple[Stretch, ...]

    @property
    def rto_s(self) -> float:
        """From the fault to the end of the last outage."""
        return max((end for _, end in self.away), default=self.fault) - self.fault

    def end_at(self, t: float) -> float | None:
        """When the outage of time `t` ends; None where there is none."""
        return next((end for begin, end in self.away if begin <= t < end), None)


def probed(
    spec: ProbeSpec,
    truth: Outages,
    machine: Machine,
    rng: Random,
    *,
    begin: float = 0.0,
    until: float = 30.0,
    stalls: Sequence[Stretch] = (),
) -> list[ProbeSample]:
    """What the probe records; in a stall nothing is sent, and all of it at its end."""
    slots = Slots(begin, spec.every_s)
    samples = []
    for number in slots.between(begin, until):
        due = slots.due(number)
        sent = due + machine.jitter_s * rng.random()
        if machine.late_share and rng.random() < machine.late_share:
            sent += machine.late_s * rng.random()
        for stop, go in stalls:
            sent = go if stop <= sent < go else sent
        ok, answered = _answer(spec, truth, machine, rng, sent)
        error_s = machine.clock_error_s
        samples.append(
            ProbeSample(
                sent + rng.uniform(-error_s, error_s),
                None if answered is None else answered + rng.uniform(-error_s, error_s),
                spec.name, number, due, ok,
            )
        )  # fmt: skip
    return samples


def _answer(
    spec: ProbeSpec, truth: Outages, machine: Machine, rng: Random, sent: float
) -> tuple[bool, float | None]:
    there_s, back_s = (machine.request_s * (0.1 + rng.random()) for _ in range(2))
    if rng.random() < machine.slow_share:
        # Nine tenths of what an answer may take, for a later one is a failure, and recovery not yet.
        there_s = max(there_s, (0.9 * spec.limit_s - back_s) * rng.random())
    end = truth.end_at(sent + there_s)
    if end is None:
        return True, sent + there_s + back_s
    if rng.random() >= machine.hang_share:
        return False, sent + there_s + back_s
    return (True, end + back_s) if end + back_s <= sent + 0.9 * spec.limit_s else (False, None)


def controlled(
    begin: float = 0.0, until: float = 30.0, *, late: Sequence[Stretch] = (), late_s: float = 0.5
) -> list[StarvationSample]:
    """What the control of the processor records; slots within `late` are done `late_s` late."""
    slots = Slots(begin, CONTROL_EVERY_S)
    samples = []
    for number in slots.between(begin, until):
        due = slots.due(number)
        behind_s = late_s if any(since <= due < end for since, end in late) else 0.0
        samples.append(StarvationSample(due + behind_s, due + behind_s + WORK_S, due, WORK_S))
    return samples


def bracketed(truth: Outages, machine: Machine, rng: Random, most_s: float = 0.3) -> Injection:
    """The injection as the harness read it, on its clock, around the true time of the fault."""
    error_s = machine.clock_error_s
    before = truth.fault - most_s * rng.random() + rng.uniform(-error_s, error_s)
    after = truth.fault + most_s * rng.random() + rng.uniform(-error_s, error_s)
    return Injection(min(before, after), after)
