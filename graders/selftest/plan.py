"""Which solutions are graded now, and which are known: from a kept record, or by the word of the ledger."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

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
    nobody chooses. With an empty one nothing that is known is graded, no reference either. No grading begins
    that would end after `until`, a time of `clock` in seconds.
    """

    sample: str = ""
    until: float = math.inf
    clock: Callable[[], float] = time.monotonic

    def has_time_for(self, seconds: float) -> bool:
        """Whether what takes that long would be over in time if it began now."""
        return self.clock() + seconds <= self.until

    @property
    def left_s(self) -> float:
        """How much time is left."""
        return self.until - self.clock()


@dataclass(frozen=True)
class Lanes:
    """How many gradings run side by side: of whole solutions, and of flaws alone."""

    whole: int = 1
    flaws: int = 1


def by_lane(cases: Sequence[Case], lanes: Lanes) -> Iterator[tuple[list[Case], int]]:
    """The cases in their order, those of one lane together, with how many run side by side.

    A whole one wants two cores.
    """
    for alone, part in groupby(cases, key=lambda case: bool(case.only)):
        yield list(part), lanes.flaws if alone else lanes.whole


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

    With `again`, no kept record counts. With `trust` that has a sample, the references and the starter are
    always graded, and so is a tenth of the rest: a ledger or a record that says something false is found in
    time. A case that has `only` is known by a whole grading, too: then it is judged as a whole, or taken as
    proven so. Of what is not known, whole gradings come first, and then what was proven longest ago.
    """
    kept: list[Case] = []
    proven: list[Case] = []
    first: list[Case] = []
    unknown: list[Case] = []
    sampled = trust is not None and trust.sample != ""
    for case in cases:
        vouched = trust is not None and ledger.proof(case.name, keys[case.name]) is not None
        if sampled and case.flaw is None:
            first.append(case)
        elif not again and recordings.has(keys[case.name].record) and (sampled or not vouched):
            kept.append(replace(case, only=()))
        elif vouched:
            proven.append(replace(case, only=()))
        else:
            unknown.append(case)
    sample = _sample([*kept, *proven], trust.sample) if trust is not None and sampled else ()
    if trust is not None:
        unknown.sort(key=lambda case: (bool(case.only), case.flaw is not None, ledger.proven_at(case.name)))
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
