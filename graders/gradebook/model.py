"""What a gradebook is, whatever keeps it: learners, labs, and one grade for each pair of them. No I/O.

Points are `Decimal` and are written with the digits they have. A grade without points is UNGRADED, EXCUSED,
REJECTED or MISSING; none of these is a zero, and no exporter may make one of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from graders.model import Fault, Status


class GradeState(StrEnum):
    """Whether a learner has a grade for a lab, and why not."""

    GRADED = "graded"
    UNGRADED = "ungraded"
    """Something was handed in, and something that is not the learner's kept it from being graded."""
    EXCUSED = "excused"
    REJECTED = "rejected"
    """What was handed in cannot be graded as it is; its `problem` says why."""
    MISSING = "missing"
    """Nothing was handed in."""


@dataclass(frozen=True)
class GradebookLearner:
    """A person of the roster; `ids` are what other systems call this person, as its columns `id:…` say.

    ================  ==================================================================
    name in `ids`     what it is
    ================  ==================================================================
    `canvas`          Canvas' user id, a number
    `sis_user`        the SIS user id of Canvas
    `sis_login`       the SIS login id of Canvas
    `integration`     the integration id of Canvas
    `moodle`          the number of Moodle's worksheet: `Participant 1234` is `1234`
    `idnumber`        Moodle's field *ID number*
    `lti`             the subject (`sub`) that the platform launched with
    `nbgrader`        nbgrader's student id
    ================  ==================================================================
    """

    learner_id: str
    last_name: str = ""
    first_name: str = ""
    email: str = ""
    section: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name as people say it; the id where there is none."""
        return f"{self.first_name} {self.last_name}".strip() or self.learner_id


@dataclass(frozen=True)
class LabColumn:
    """A lab as a column of the gradebook; `canvas_id` is its assignment there, empty where there is none."""

    lab: str
    title: str
    possible: Decimal
    due_at: datetime | None = None
    canvas_id: str = ""


@dataclass(frozen=True)
class CriterionGrade:
    """One criterion's share; `earned` is None where it could not be graded, `points` what it could earn."""

    id: str
    title: str
    group: str
    points: Decimal
    earned: Decimal | None
    status: Status
    fault: Fault | None = None


@dataclass(frozen=True)
class Loss:
    """Why a check did not pass, as its learner may read it; `criteria` rest on it."""

    check: str
    title: str
    status: Status
    criteria: tuple[str, ...]
    expected: str = ""
    observed: str = ""
    hint: str = ""
    fault: Fault | None = None


class AdjustmentKind(StrEnum):
    """What changed points after the evidence was judged."""

    LATE = "late"
    OVERRIDE = "override"


@dataclass(frozen=True)
class Adjustment:
    """A line of its own between evidence and grade: `change` is what it added, so lateness is negative."""

    kind: AdjustmentKind
    change: Decimal
    reason: str
    author: str = ""


@dataclass(frozen=True)
class LabGrade:
    """What one learner has for one lab: `points` are evidence and adjustments together.

    `report` is the report as its learner reads it, as plain text; empty lets `feedback` compose one.
    """

    learner_id: str
    lab: str
    state: GradeState
    points: Decimal | None = None
    possible: Decimal | None = None
    criteria: tuple[CriterionGrade, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    losses: tuple[Loss, ...] = ()
    problem: str = ""
    report: str = ""
    submitted_at: datetime | None = None
    graded_at: datetime | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        graded = self.state is GradeState.GRADED
        if graded != (self.points is not None) or (graded and self.possible is None):
            raise ValueError(f"{self.learner_id}, {self.lab}: {self.state} with {self.points} points")
        for value in (self.points, self.possible):
            if value is not None and not value.is_finite():
                raise ValueError(f"{self.learner_id}, {self.lab}: {value} are no points")

    def changed_by(self, kind: AdjustmentKind) -> Decimal:
        """What the adjustments of one kind added."""
        return sum((one.change for one in self.adjustments if one.kind is kind), Decimal(0))


@dataclass(frozen=True)
class GradebookModel:
    """A whole class: exactly one grade for each learner and lab, learners and labs in the order to show."""

    course: str
    labs: tuple[LabColumn, ...]
    learners: tuple[GradebookLearner, ...]
    grades: tuple[LabGrade, ...]

    def __post_init__(self) -> None:
        for what, names in (
            ("learner", Counter(one.learner_id for one in self.learners)),
            ("lab", Counter(one.lab for one in self.labs)),
        ):
            if twice := [name for name, times in names.items() if times > 1]:
                raise ValueError(f"{what} {twice[0]!r} is there twice")
        have = Counter((one.learner_id, one.lab) for one in self.grades)
        want = {(learner.learner_id, lab.lab) for learner in self.learners for lab in self.labs}
        if odd := sorted((set(have) ^ want) | {pair for pair, times in have.items() if times > 1}):
            raise ValueError(f"not exactly one grade for a learner and lab of this gradebook: {odd[0]}")
        object.__setattr__(self, "_by_pair", {(one.learner_id, one.lab): one for one in self.grades})

    def grade(self, learner: GradebookLearner, lab: LabColumn) -> LabGrade:
        """The grade of a learner for a lab."""
        by_pair: Mapping[tuple[str, str], LabGrade] = self.__dict__["_by_pair"]
        return by_pair[learner.learner_id, lab.lab]

    def rows(self) -> Iterator[tuple[GradebookLearner, LabColumn, LabGrade]]:
        """Every grade with whose and what it is, lab by lab."""
        for lab in self.labs:
            for learner in self.learners:
                yield learner, lab, self.grade(learner, lab)

    def only(self, labs: Iterable[str]) -> GradebookModel:
        """The gradebook of some labs alone.

        Raises:
            KeyError: there is no lab of such a name.
        """
        wanted = set(labs)
        if unknown := sorted(wanted - {one.lab for one in self.labs}):
            raise KeyError(unknown[0])
        kept = tuple(one for one in self.labs if one.lab in wanted)
        return replace(self, labs=kept, grades=tuple(one for one in self.grades if one.lab in wanted))
