"""What each stored grade needs to be one of today: nothing, its points anew, or its record judged again."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from graders.course import Course, Lab
from graders.gradekey import GradeKey, judge_key, score_key
from graders.model import Verdict
from graders.store import StoredGrade


class Need(StrEnum):
    """What has to be done for a grade."""

    NOTHING = "up to date"
    SCORE = "scored again"
    """Only the rubric changed: the outcomes that are stored are worth other points."""
    JUDGE = "judged again"
    """Checks changed, or nobody could judge the record before."""
    GRADE = "to be graded again"
    """There is no record to judge, because none came to be or it was not kept."""


@dataclass(frozen=True)
class LabToday:
    """A lab as it is now, and the keys of how its records are judged and scored."""

    lab: Lab
    judge: str
    score: str

    def key(self, grade: StoredGrade) -> GradeKey:
        """What a grade of the same record depends on today."""
        return GradeKey(record=grade.key.record, judge=self.judge, score=self.score)

    def need(self, grade: StoredGrade) -> Need:
        """What a grade needs to be one of today."""
        if grade.verdict is Verdict.REJECTED:
            return Need.NOTHING
        kept = grade.bundle is not None
        if grade.verdict is Verdict.UNGRADED:
            return Need.JUDGE if kept else Need.GRADE
        if grade.key.judge != self.judge:
            return Need.JUDGE if kept else Need.GRADE
        return Need.NOTHING if grade.key.score == self.score else Need.SCORE


def labs_today(course: Course, slugs: Iterable[str]) -> dict[str, LabToday]:
    """Labs by slug as they are now.

    Raises:
        UsageError: the course has no such lab. CourseError: its parts contradict each other.
    """
    labs = [course.find_lab(slug) for slug in slugs]
    return {lab.id: LabToday(lab, judge_key(lab.id), score_key(lab.rubric)) for lab in labs}


def planned(grades: Collection[StoredGrade], today: dict[str, LabToday]) -> dict[Need, list[StoredGrade]]:
    """Grades of these labs by what they need, each list in the order of `grades`."""
    found: dict[Need, list[StoredGrade]] = {need: [] for need in Need}
    for grade in grades:
        if grade.lab in today:
            found[today[grade.lab].need(grade)].append(grade)
    return found
