"""Classes for tests of gradebooks and the site: every state, hostile names, awkward points."""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from graders.gradebook.model import (
    Adjustment,
    AdjustmentKind,
    CriterionGrade,
    GradebookLearner,
    GradebookModel,
    GradeState,
    LabColumn,
    LabGrade,
    Loss,
)
from graders.model import Fault, Status

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
POSSIBLE = Decimal("15.85")
LAB = LabColumn("lab1", "An operator for ML training jobs", POSSIBLE, AT + timedelta(days=1), "4711")

CRITERIA = (
    CriterionGrade("creates", "Creates its pods", "life", Decimal("6.5"), Decimal("6.5"), Status.PASSED),
    CriterionGrade(
        "retries",
        "Stops after backoffLimit",
        "failures",
        Decimal(4),
        Decimal(0),
        Status.FAILED,
        Fault.LEARNER,
    ),
    CriterionGrade("codes", "Reads exit codes", "failures", Decimal(3), Decimal(0), Status.BLOCKED),
    CriterionGrade(
        "events", "Tells it in Events", "signals", Decimal("2.35"), Decimal("2.35"), Status.PASSED
    ),
)
LOSSES = (
    Loss(
        "retries",
        "Stops after backoffLimit",
        Status.FAILED,
        ("retries",),
        expected="two re-creations, then Failed",
        observed="=cmd|' /C calc'!A0 <script>alert(1)</script> a third re-creation\x1b[31m of flaky-2",
        hint="Keep the count in status.restarts.",
        fault=Fault.LEARNER,
    ),
    Loss("codes", "Reads exit codes", Status.BLOCKED, ("codes",), observed="retries did not pass"),
)


def learner(name: str, number: int, **more: str) -> GradebookLearner:
    """A learner whom every system knows."""
    ids = {
        "canvas": str(9000 + number),
        "sis_user": f"00{number}",
        "sis_login": name,
        "moodle": str(500 + number),
        "idnumber": f"M{number:05}",
        "lti": f"a6d5c443-{number:04}",
    }
    plain = {"last_name": name.title(), "first_name": "Q", "email": f"{name}@example.org", "section": "A"}
    return GradebookLearner(name, ids=ids, **(plain | more))


def graded(who: str, points: str = "8.85", **more: object) -> LabGrade:
    """A grade with losses."""
    grade = LabGrade(
        who,
        "lab1",
        GradeState.GRADED,
        Decimal(points),
        POSSIBLE,
        CRITERIA,
        losses=LOSSES,
        submitted_at=AT,
        graded_at=AT + timedelta(hours=2),
        digest="sha256:" + "0" * 64,
    )
    return dataclasses.replace(grade, **more)


def without(who: str, state: GradeState, problem: str = "") -> LabGrade:
    """A grade of another state."""
    return LabGrade(who, "lab1", state, problem=problem, submitted_at=AT, graded_at=AT)


LATE = Adjustment(AdjustmentKind.LATE, Decimal("-1.10"), "2 days late, 1 in the bank")
OVERRIDE = Adjustment(AdjustmentKind.OVERRIDE, Decimal("0.60"), "=HYPERLINK(1)", "Prof. @Hopper")


def small_class() -> GradebookModel:
    """Everything that an exporter can meet, in ten learners; `EXPECTED` says what it must tell."""
    learners = (
        learner("ada", 1, last_name='O\'Hara, "Ada"', first_name="Ana\nMaría"),
        learner("late", 2),
        learner("zero", 3),
        learner("full", 4),
        learner("ungraded", 5),
        learner("excused", 6),
        learner("missing", 7),
        learner(
            "formula", 8, last_name="=1+1", first_name="@SUM(A1)", section="\t-2", email="form@example.org"
        ),
        learner("rejected", 10),
        learner("possible", 9, last_name="Points Possible", first_name="<b>&amp;"),
    )
    grades = (
        graded("ada"),
        graded("late", "8.350", adjustments=(LATE, OVERRIDE)),
        graded("zero", "0"),
        graded("full", "15.85", report="=1+1\nis <b>all</b> you need"),
        without("ungraded", GradeState.UNGRADED, "=the API server stopped answering for 12 s"),
        without("excused", GradeState.EXCUSED),
        without("missing", GradeState.MISSING),
        without("rejected", GradeState.REJECTED, "submission.yaml:7: there is no such key"),
        graded("formula", "3.10"),
        graded("possible", "1E+1"),
    )
    return GradebookModel("MOD-201", (LAB,), learners, grades)


EXPECTED: dict[str, Decimal | None] = {
    "ada": Decimal("8.85"),
    "late": Decimal("8.350"),
    "zero": Decimal(0),
    "full": Decimal("15.85"),
    "ungraded": None,
    "excused": None,
    "missing": None,
    "rejected": None,
    "formula": Decimal("3.10"),
    "possible": Decimal(10),
}
"""Points by learner of `small_class`."""


def large_class(size: int = 300, criteria: int = 28, seed: int = 7) -> GradebookModel:
    """A class whose learners differ in ability and whose criteria differ in difficulty."""
    draw = random.Random(seed)
    hard = [draw.gauss(0, 1) for _ in range(criteria)]
    points = [Decimal(draw.choice(["2", "3", "4", "5", "2.5"])) for _ in range(criteria)]
    possible = sum(points, Decimal(0))
    lab = dataclasses.replace(LAB, possible=possible)
    learners = tuple(learner(f"learner-{i:03}", i) for i in range(size))
    grades = []
    for one in learners:
        skill = draw.gauss(0.8, 1.1)
        chance = draw.random()
        if chance < 0.04:
            state = GradeState.UNGRADED if chance < 0.015 else GradeState.MISSING
            grades.append(without(one.learner_id, state, "the machine ran out of memory"))
            continue
        lines, losses = [], []
        for i in range(criteria):
            passed = skill - hard[i] + draw.gauss(0, 0.8) > 0
            earned = points[i] if passed else Decimal(0)
            status = Status.PASSED if passed else Status.FAILED
            name = f"criterion-{i:02}"
            title = f"Keeps promise {i} of the contract"
            lines.append(CriterionGrade(name, title, f"group-{i % 5}", points[i], earned, status))
            if not passed:
                seen = draw.choice(["a pod twice", "nothing for", "Failed after"])
                losses.append(
                    Loss(
                        name,
                        title,
                        status,
                        (name,),
                        "it once",
                        f"{seen} {draw.randint(2, 40)} s",
                        "Look again.",
                    )
                )
        total = sum((line.earned or Decimal(0) for line in lines), Decimal(0))
        late = (LATE,) if draw.random() < 0.1 and total > 2 else ()
        grades.append(
            graded(
                one.learner_id,
                str(total + sum((each.change for each in late), Decimal(0))),
                possible=possible,
                criteria=tuple(lines),
                losses=tuple(losses),
                adjustments=late,
            )
        )
    return GradebookModel("MOD-201", (lab,), learners, tuple(grades))
