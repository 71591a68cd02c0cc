"""The solutions of a lab, each as a whole folder that can be graded, and what it must lose."""

import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from graders.course import PATCH, Expected, Lab, apply_patch
from graders.faults import CourseError

STARTER = "starter"
STARTER_BELOW = Decimal(15)
"""Per cent that a starter must stay under."""

_CACHES = ("__pycache__", ".*_cache")


@dataclass(frozen=True)
class Case:
    """One solution to grade: a folder, and the rule its losses are held against.

    `flaw` says what it must lose, None nothing. `only` are the checks to run, none all.
    """

    name: str
    root: Path
    rule: str
    flaw: Expected | None = None
    only: tuple[str, ...] = ()

    def expected(self, capabilities: Iterable[str]) -> tuple[str, ...]:
        """What it must lose on a cluster that has these capabilities."""
        return self.flaw.losses(capabilities) if self.flaw is not None else ()


def cases_of(lab: Lab, scratch: Path, *, focus: bool, only: Collection[str] = ()) -> Iterator[Case]:
    """The solutions of `lab`, or those of them named in `only`, made as a whole under `scratch`.

    With `focus`, flaws are to be graded for their flaw alone.

    Raises:
        CourseError: a patch does not fit. InfraFault: there is no git on this machine.
    """
    for reference in lab.references:
        if not only or reference.name in only:
            yield Case(reference.name, reference, "nothing")
    if not only or STARTER in only:
        yield Case(STARTER, lab.folder / STARTER, f"all but {STARTER_BELOW} %")
    checks = {criterion.id: criterion.checks for criterion in lab.rubric.criteria}
    for expected in (*lab.flawed, *lab.sound):
        if only and expected.name not in only:
            continue
        root = overlay(lab.solutions / expected.base, expected, scratch / expected.name)
        behind = tuple(name for lost in expected.everything for name in checks[lost])
        asked = behind if focus and not expected.whole else ()
        yield Case(expected.name, root, "exactly these", expected, asked)


def names_of(lab: Lab) -> list[str]:
    """The names of all solutions of `lab`."""
    changed = (each.name for each in (*lab.flawed, *lab.sound))
    return [*(path.name for path in lab.references), STARTER, *changed]


def overlay(reference: Path, expected: Expected, destination: Path) -> Path:
    """The changed solution as a whole: a copy of the reference without what it removes, and then patched.

    Raises:
        CourseError: its patch does not fit the reference. InfraFault: there is no git on this machine.
    """
    shutil.copytree(reference, destination, ignore=shutil.ignore_patterns(*_CACHES))
    for path in expected.remove:
        shutil.rmtree(destination / path)
    patch = expected.folder / PATCH
    if patch.exists():
        apply_patch(patch, destination)
    return destination


def expect_a_flaw_for_every_criterion(lab: Lab) -> None:
    """See that no criterion could be empty words.

    Raises:
        CourseError: no flawed solution loses one of them.
    """
    covered = {name for expected in lab.flawed for name in expected.everything}
    for criterion in lab.rubric.criteria:
        if not criterion.planned and criterion.id not in covered:
            raise CourseError(
                f"no flawed solution loses {criterion.id}",
                file=f"rubrics/{lab.id}.yaml",
                fix=f"write one under solutions/{lab.id}/flawed/ that loses exactly it",
            )
