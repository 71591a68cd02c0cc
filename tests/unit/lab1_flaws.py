"""What a flaw in the record must cost: exactly its check, in words a learner can use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.judging import collect_checks
from graders.judging.ends import before_running
from graders.judging.run import outcome_of
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
    return judged(recording.held(folder / "bundle"))


def judged(bundle: Bundle) -> dict[str, Outcome]:
    """What each check says of a bundle by itself, whatever became of those that it requires."""
    return {info.id: before_running(info, bundle) or outcome_of(info, bundle) for info in collect_checks(LAB)}


def assert_costs(flaw: Flaw, folder: Path) -> None:
    """The flaw loses its check, those in `also`, and no other; the words name it."""
    outcomes = outcomes_of(flaw.mutate, folder)
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
    assert outcome.hint, said
