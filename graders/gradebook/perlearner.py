"""Formats of one JSON file for each submission: where the file goes, and criteria as the tests of one."""

import json
import re
from typing import Any

from graders.gradebook.feedback import adjustment_text, reasons
from graders.gradebook.matching import stop
from graders.gradebook.model import CriterionGrade, GradebookLearner, GradebookModel, LabColumn, LabGrade
from graders.reports.text import LIMIT, clean

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")


def see_names(model: GradebookModel) -> None:
    """See that every learner id can name a file, and no two name the same on any file system.

    Raises:
        UsageError: some cannot.
    """
    ids = [one.learner_id for one in model.learners]
    stop(
        [one for one in ids if not _PLAIN.fullmatch(one)],
        "have an id that names no file",
        "use letters, digits and _ . @ + - in learner_id of the roster",
    )
    folded = [one.casefold() for one in ids]
    stop(
        [one for one in ids if folded.count(one.casefold()) > 1],
        "have ids that differ in case alone",
        "give them ids of which some file systems, too, make two files",
    )


def place(learner: GradebookLearner, lab: LabColumn, name: str) -> str:
    """The relative name of a learner's file."""
    return f"{lab.lab}/{learner.learner_id}/{name}"


def why(grade: LabGrade, criterion: CriterionGrade) -> str:
    """Why a criterion lost points, cut to what a report holds."""
    return clean("\n".join(reasons(grade, criterion)), LIMIT)


def changes(grade: LabGrade) -> str:
    """What changed points after the evidence was judged."""
    return "\n".join(adjustment_text(one) for one in grade.adjustments)


def as_json(value: Any, *, indent: int | None = 2) -> bytes:
    """JSON in ASCII, so that it is safe to print as it is."""
    return (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode()
