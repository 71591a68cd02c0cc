"""What `kubeproof setup` has ready of a lab's own."""

from __future__ import annotations

from graders.cli.setup import _things
from graders.lab3.runtimes import LOCKS
from graders.labneeds import needs_of


def test_a_lab_s_own_environments_are_carried_beside_the_learners() -> None:
    needs = needs_of("lab3")
    assert needs.locks == LOCKS
    things = _things(needs, without_go=False)
    names = [each.name for each in things]
    assert {"learner runtime", "chaos runtime", "notebook runtime", "hunter runtime"} <= set(names)
    # An archive knows each by its name, and a cache by its place.
    assert len(set(names)) == len(names)
    assert len({each.root / each.parts[0] for each in things}) == len(things)


def test_a_lab_without_any_has_none() -> None:
    assert needs_of("lab1").locks == needs_of("lab1").packages == ()
