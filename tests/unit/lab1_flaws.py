"""What a flaw in the record of lab 1 must cost."""

from __future__ import annotations

from pathlib import Path

from graders.evidence.bundle import Bundle
from graders.model import Outcome
from tests.unit import flaws
from tests.unit.flaws import assert_costs_exactly, checks_of, every, judged_alone
from tests.unit.lab1_recording import Mutation, Recording, reference

__all__ = ["LAB", "Flaw", "assert_costs", "every", "judged", "outcomes_of"]

LAB = "lab1"
Flaw = flaws.Flaw[Recording]


def outcomes_of(mutate: Mutation, folder: Path) -> dict[str, Outcome]:
    """All outcomes of the reference's record after a change."""
    recording = reference()
    mutate(recording)
    return judged(recording.held(folder / "bundle"))


def judged(bundle: Bundle) -> dict[str, Outcome]:
    """What each check says of a bundle by itself, whatever became of those that it requires."""
    return judged_alone(bundle, checks_of(LAB))


def assert_costs(flaw: Flaw, folder: Path) -> None:
    """The flaw loses its check, those in `also`, and no other; the words name it."""
    assert_costs_exactly(flaw, outcomes_of(flaw.mutate, folder))
