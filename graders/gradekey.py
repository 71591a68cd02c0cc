"""What a grade depends on, as digests: whoever finds the same keys again need not record or judge again.

======  ===================================================================================================
record  the submission, what was asked, the lab's files, the code that records, the locks of what it runs
judge   the code that judges: the lab's checks and all they import
score   the rubric, and the code that turns outcomes into points
======  ===================================================================================================
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from graders.closure import closure_of, modules_below
from graders.clusters.registry import MODULES
from graders.course.files import LabSettings
from graders.definition import lab_package
from graders.model import Rubric
from graders.paths import REPOSITORY

LOCK = REPOSITORY / "requirements.lock"

_RECORDS = ("graders.recording", "graders.sandbox")
_JUDGES = "graders.judgement"
_SCORES = "graders.scoring"


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


def record_key(lab: LabSettings, submission: str, provider: str, asked: Collection[str] = ()) -> str:
    """The key of a record; parameters are those of `grade_key`."""
    package = lab_package(lab.id)
    roots = (*_RECORDS, package.module("scenario"), package.module("block"), MODULES[provider])
    given = sorted(path for path in lab.folder.iterdir() if _acts(path))
    code = closure_of(roots).digest(LOCK, *given)
    return _digest(submission, provider, *sorted(asked), _python(), code)


def judge_key(lab: str) -> str:
    """The key of how a record of `lab` is judged."""
    roots = (_JUDGES, *modules_below(lab_package(lab).module("checks")))
    return _digest(_python(), closure_of(roots, without=modules_below(_SCORES)).digest(LOCK))


def score_key(rubric: Rubric) -> str:
    """The key of how outcomes become points."""
    return _digest(rubric.sha256, closure_of(modules_below(_SCORES)).digest())


def _acts(path: Path) -> bool:
    """Whether a file of a lab has a part in what happens: not the texts, not what learners begin with."""
    return path.suffix != ".md" and path.name not in ("starter", "rules.yaml")


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
