"""Which solutions are graded now, and which are known: from a kept record, or by the word of the ledger."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graders.gradekey import GradeKey
from graders.selftest.cases import Case
from graders.selftest.ledger import Ledger
from graders.selftest.recordings import Recordings

SAMPLE = 10
"""One of so many solutions that are known already is graded all the same."""

GRADE_S = 75.0
"""How long a grading takes on two cores, where nobody has measured it."""

FLAW_S = 30.0
"""How long one of a flaw alone takes."""


@dataclass(frozen=True)
class Trust:
    """How far a self-test relies on the ledger, and how long it may take.

    `sample` picks the solutions that are graded although they are known: the hash of a commit, so that
    nobody chooses. No grading begins that would end after `until`, a time of `clock` in seconds.
    """

    sample: str
    until: float = math.inf
    clock: Callable[[], float] = time.monotonic

    def has_time_for(self, seconds: float) -> bool:
        """Whether what takes that long would be over in time if it began now."""
        return self.clock() + seconds <= self.until


@dataclass(frozen=True)
class Lanes:
    """How many gradings run side by side: of whole solutions, and of flaws alone."""

    whole: int = 1
    flaws: int = 1


def by_lane(cases: Sequence[Case], lanes: Lanes) -> Iterator[tuple[list[Case], int]]:
    """The whole cases and the others, each with how many run side by side: a whole one wants two cores."""
    yield [case for case in cases if not case.only], lanes.whole
    yield [case for case in cases if case.only], lanes.flaws


def expected_s(case: Case, ledger: Ledger) -> float:
    """How many seconds a grading of the case will take, by what is known of it."""
    return FLAW_S if case.only else ledger.expected_s(case.name, GRADE_S)


@dataclass(frozen=True)
class Plan:
    """What becomes of each solution; `live` in the order in which they are graded."""

    live: tuple[Case, ...]
    kept: tuple[Case, ...]
    proven: tuple[Case, ...]


def plan(
    cases: Sequence[Case],
    keys: Mapping[str, GradeKey],
    recordings: Recordings,
    ledger: Ledger,
    *,
    again: bool,
    trust: Trust | None,
) -> Plan:
    """Say of each case whether it is graded, judged from its kept record, or taken as proven.

    With `again`, no kept record counts. With `trust`, the references and the starter are always graded,
    and so is a sample of the rest: a ledger or a record that says something false is found in time. A case
    that has `only` is known by a whole grading, too: then it is judged as a whole, or taken as proven so.
    """
    kept: list[Case] = []
    proven: list[Case] = []
    first: list[Case] = []
    unknown: list[Case] = []
    for case in cases:
        if trust is not None and case.flaw is None:
            first.append(case)
        elif not again and recordings.has(keys[case.name].record):
            kept.append(replace(case, only=()))
        elif trust is not None and ledger.proof(case.name, keys[case.name]) is not None:
            proven.append(replace(case, only=()))
        else:
            unknown.append(case)
    sample = _sample([*kept, *proven], trust.sample) if trust is not None else ()
    wanted = [*first, *unknown, *sample]
    return Plan(
        live=tuple(wanted),
        kept=tuple(case for case in kept if case not in sample),
        proven=tuple(case for case in proven if case not in sample),
    )


def _sample(cases: Sequence[Case], seed: str) -> tuple[Case, ...]:
    """A tenth of the cases, at least one; which, follows from the seed and nothing else."""
    drawn = sorted(cases, key=lambda case: hashlib.sha256(f"{seed} {case.name}".encode()).digest())
    return tuple(drawn[: math.ceil(len(cases) / SAMPLE)])
