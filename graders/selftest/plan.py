"""Which solutions are graded now, and which are known: from a kept record, or by the word of the ledger."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
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
    """How far a self-test relies on the ledger.

    `sample` picks the solutions that are graded although they are known: the hash of a commit, so that
    nobody chooses. `budget_s` bounds the seconds in which gradings may begin that will
    end in them; None sets no bound.
    """

    sample: str
    budget_s: float | None = None


@dataclass(frozen=True)
class Lanes:
    """How many gradings run side by side: of whole solutions, and of flaws alone."""

    whole: int = 1
    flaws: int = 1


def by_lane(cases: Sequence[Case], lanes: Lanes) -> Iterator[tuple[list[Case], int]]:
    """The whole cases and the others, each with how many run side by side: a whole one wants two cores."""
    yield [case for case in cases if not case.only], lanes.whole
    yield [case for case in cases if case.only], lanes.flaws


@dataclass(frozen=True)
class Plan:
    """What becomes of each solution; `live` in the order in which they are graded."""

    live: tuple[Case, ...]
    kept: tuple[Case, ...]
    proven: tuple[Case, ...]
    unproven: tuple[Case, ...]
    """There is no time for these."""


def plan(
    cases: Sequence[Case],
    keys: Mapping[str, GradeKey],
    recordings: Recordings,
    ledger: Ledger,
    *,
    again: bool,
    trust: Trust | None,
    lanes: Lanes,
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
    live = _in_time(wanted, ledger, trust.budget_s if trust is not None else None, lanes)
    return Plan(
        live=tuple(live),
        kept=tuple(case for case in kept if case not in sample),
        proven=tuple(case for case in proven if case not in sample),
        unproven=tuple(case for case in wanted if case not in live),
    )


def _sample(cases: Sequence[Case], seed: str) -> tuple[Case, ...]:
    """A tenth of the cases, at least one; which, follows from the seed and nothing else."""
    drawn = sorted(cases, key=lambda case: hashlib.sha256(f"{seed} {case.name}".encode()).digest())
    return tuple(drawn[: math.ceil(len(cases) / SAMPLE)])


def _in_time(cases: Sequence[Case], ledger: Ledger, budget_s: float | None, lanes: Lanes) -> list[Case]:
    """As many of the cases, from the first of each lane, as can be graded in the budget."""
    if budget_s is None:
        return list(cases)
    chosen: list[Case] = []
    began_s = 0.0
    for part, jobs in by_lane(cases, lanes):
        busy_s = [began_s] * jobs
        for case in part:
            lane = busy_s.index(min(busy_s))
            busy_s[lane] += FLAW_S if case.only else ledger.expected_s(case.name, GRADE_S)
            if busy_s[lane] > budget_s:
                break
            chosen.append(case)
        began_s = max(busy_s)
    return chosen
