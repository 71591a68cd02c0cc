"""What a flaw in the record must cost: exactly its check, in words a learner can use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.judging import judge
from graders.model import Fault, Outcome, Status
from tests.unit.lab1_recording import Mutation, reference

LAB = "lab1"


@dataclass(frozen=True)
class Flaw:
    """One change of the reference's record: `says` is in what the learner reads, `also` is lost, too."""

    check: str
    name: str
    mutate: Mutation
    says: str
    also: tuple[str, ...] = ()


def every(flaws: tuple[Flaw, ...]) -> pytest.MarkDecorator:
    """Parametrise a test by flaws."""
    return pytest.mark.parametrize("flaw", flaws, ids=[f"{flaw.check}: {flaw.name}" for flaw in flaws])


def outcomes_of(mutate: Mutation, folder: Path) -> dict[str, Outcome]:
    """All outcomes of the reference's record after a change."""
    recording = reference()
    mutate(recording)
    return {outcome.check_id: outcome for outcome in judge(recording.store(folder / "bundle"), lab=LAB)}


def assert_costs(flaw: Flaw, folder: Path) -> None:
    """The flaw loses its check, those in `also`, and no other; the words name it."""
    outcomes = outcomes_of(flaw.mutate, folder)
    lost = {name for name, outcome in outcomes.items() if outcome.status is not Status.PASSED}
    assert lost == {flaw.check, *flaw.also}
    outcome = outcomes[flaw.check]
    assert (outcome.status, outcome.fault) == (Status.FAILED, Fault.LEARNER)
    assert flaw.says in f"{outcome.expected}\n{outcome.observed}"
    assert outcome.expected
    assert outcome.observed
    assert outcome.hint
