"""What a flaw in the record must cost: exactly its check, in words a learner can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts
from graders.judging.catalogue import checks_folder, modules
from graders.judging.check import CheckInfo, info_of
from graders.judging.ends import before_running, ended
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
    """What judging says of a bundle, without having pytest collect the checks anew each time."""
    outcomes = {}
    for name, (info, function) in _functions().items():
        outcome = before_running(info, bundle)
        if outcome is None:
            facts, error = Facts(), None
            try:
                function(bundle=bundle, facts=facts)
            except Exception as raised:  # (what it raised is what it says)
                error = raised
            if isinstance(error, Unmet):
                facts.update(error.facts)
            outcome = ended(info, error, facts.recorded(), 0.0)
        outcomes[name] = outcome
    return outcomes


@cache
def _functions() -> dict[str, tuple[CheckInfo, Callable[..., None]]]:
    found = {}
    for module in modules(checks_folder(LAB)).values():
        for value in vars(module).values():
            info = info_of(value)
            if info is not None:
                found[info.id] = (info, value)
    return found


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
