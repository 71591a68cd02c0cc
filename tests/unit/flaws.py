"""What a flaw in a recorded run must cost, in any lab: exactly its check, in words a learner can use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

import pytest

from graders.evidence.bundle import Bundle
from graders.judging import CheckInfo, collect_checks
from graders.judging.ends import before_running
from graders.judging.run import outcome_of
from graders.model import Fault, Outcome, Status

R = TypeVar("R")


@dataclass(frozen=True)
class Flaw(Generic[R]):
    """One change of the reference's record: `says` is in what the learner reads, `also` is lost, too."""

    check: str
    name: str
    mutate: Callable[[R], object]
    says: str
    also: Collection[str] = ()


def every(flaws: Collection[Flaw[R]]) -> pytest.MarkDecorator:
    """Parametrise a test by flaws; a rule of a lab names its proof as it is named here."""
    return pytest.mark.parametrize("flaw", flaws, ids=[f"{flaw.check}: {flaw.name}" for flaw in flaws])


@cache
def checks_of(lab: str) -> tuple[CheckInfo, ...]:
    """The checks of a lab, found once: there are hundreds of flaws."""
    return tuple(collect_checks(lab))


def judged_alone(bundle: Bundle, checks: Collection[CheckInfo]) -> dict[str, Outcome]:
    """What each check says of a bundle by itself, whatever became of those that it requires."""
    return {info.id: before_running(info, bundle) or outcome_of(info, bundle) for info in checks}


def assert_costs_exactly(flaw: Flaw[R], outcomes: Mapping[str, Outcome]) -> None:
    """The flaw loses its check, those in `also`, and no other; the words name it."""
    kept = (Status.PASSED, Status.UNSUPPORTED)
    lost = {name for name, outcome in outcomes.items() if outcome.status not in kept}
    assert lost == {flaw.check, *flaw.also}, f"lost {', '.join(sorted(lost)) or 'nothing'}"
    outcome = outcomes[flaw.check]
    assert outcome.status is Status.FAILED, outcome.detail
    assert outcome.fault is Fault.LEARNER
    said = f"expected {outcome.expected}\nobserved {outcome.observed}"
    assert flaw.says in said, said
    assert outcome.expected, said
    assert outcome.observed, said
