"""Grades for tests of stores."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.cohort.roster import Roster
from graders.gradekey import GradeKey
from graders.store import GradeStore, NewGrade
from tests.unit.synthetic_report import REPORTS

LEARNERS = tuple(f"learner{number:02}" for number in range(40))


def key(name: str = "1") -> GradeKey:
    return GradeKey(record=f"record-{name}", judge="judge", score="score")


def grade(learner: str = LEARNERS[0], verdict: str = "graded", name: str = "1", **more: Any) -> NewGrade:
    report = REPORTS[verdict]()
    submission = more.pop("submission", f"sha256:{name}")
    return NewGrade.of(report, learner_id=learner, key=key(name), submission=submission, **more)


def with_total(total: str, learner: str = LEARNERS[0], **more: Any) -> NewGrade:
    return dataclasses.replace(grade(learner, **more), total=Decimal(total))


def small_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return folder


def enrol_all(store: GradeStore) -> None:
    store.enrol(Roster.of_ids(LEARNERS))
