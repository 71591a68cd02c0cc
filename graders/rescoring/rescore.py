"""A whole store anew: what would become of each grade, told before anything is written."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graders.course import Course
from graders.faults import UsageError
from graders.model import Verdict
from graders.progress import Progress
from graders.rescoring.again import score_again
from graders.rescoring.changes import Change, criteria_changed
from graders.rescoring.plan import LabToday, Need, labs_today, planned
from graders.rescoring.sidebyside import Job, judge_side_by_side
from graders.store import GradeStore, NewGrade, StoredGrade


@dataclass(frozen=True)
class Rescored:
    """What a rescore found; nothing of it is written yet.

    `changes` has one for every grade that becomes one of today, in the order of the roster, whether it
    moves or not. `up_to_date` need nothing; `to_grade` have no record that could be judged.
    """

    changes: tuple[Change, ...]
    scored: int
    judged: int
    up_to_date: int
    to_grade: tuple[StoredGrade, ...]
    rubrics: tuple[str, ...] = ()
    """Which rubrics changed, in words."""
    ungraded: int = 0
    """How many grades have no points, as they would be."""

    @property
    def moving(self) -> tuple[Change, ...]:
        """The changes that change something for a learner."""
        return tuple(change for change in self.changes if change.moves)

    @property
    def what(self) -> str:
        """What was done, as a reason for the history."""
        told = [f"{each}" for each in self.rubrics]
        if self.judged:
            told.append("judged again by today's checks")
        return "; ".join(told) or "scored again"

    def write(self, store: GradeStore, *, author: str, reason: str = "") -> None:
        """Keep it, as a whole or not at all.

        Raises:
            UsageError: a grade has changed since it was read. InfraFault: the store failed.
        """
        why = reason or self.what
        store.save_all([dataclasses.replace(each.after, author=author, reason=why) for each in self.changes])


def rescore(
    store: GradeStore, course: Course, progress: Progress, *, labs: Iterable[str] = (), at_once: int = 1
) -> Rescored:
    """Find what becomes of the stored grades of `labs`, all where none is named, by the course as it is.

    Raises:
        UsageError: nothing of such a lab is stored, or the course does not have it.
        CourseError: a lab contradicts itself. InfraFault: the store failed.
    """
    chosen = [course.find_lab(lab).id for lab in labs]
    held = store.grades()
    there = sorted({grade.lab for grade in held})
    for slug in chosen:
        if slug not in there:
            raise UsageError(
                f"nothing of {slug} is stored",
                file=store.address.shown,
                fix=f"there is: {', '.join(there) or 'nothing yet'}",
            )
    today = labs_today(course, chosen or there)
    plan = planned(held, today)
    reports = store.reports(one.id for need in (Need.SCORE, Need.JUDGE) for one in plan[need])
    new = {
        one.id: score_again(today[one.lab].lab, one, reports[one.id], today[one.lab].key(one))
        for one in plan[Need.SCORE]
    }
    jobs = [Job(one, reports[one.id], today[one.lab].key(one)) for one in plan[Need.JUDGE]]
    new.update(_judged(jobs, at_once, progress))
    results = store.finals(grades=held)
    after = store.finals(grades=[_as_if(one, new.get(one.id)) for one in held])
    changes = tuple(
        Change(
            one,
            new[one.id],
            criteria_changed(reports[one.id], new[one.id].report),
            results.get((one.learner_id, one.lab)),
            after.get((one.learner_id, one.lab)),
        )
        for one in held
        if one.id in new and not _same(one, new[one.id])
    )
    return Rescored(
        changes,
        scored=len(plan[Need.SCORE]),
        judged=len(jobs),
        up_to_date=len(plan[Need.NOTHING]),
        to_grade=tuple(plan[Need.GRADE]),
        rubrics=_rubrics(changes, today),
        ungraded=sum(new.get(one.id, one).verdict is Verdict.UNGRADED for one in held if one.lab in today),
    )


def _judged(jobs: Sequence[Job], at_once: int, progress: Progress) -> dict[int, NewGrade]:
    if not jobs:
        return {}
    found: dict[int, NewGrade] = {}
    with progress.task(f"judging {len(jobs)} records", len(jobs)) as task:
        for grade in judge_side_by_side(jobs, at_once):
            assert grade.replaces is not None
            found[grade.replaces] = grade
            task.update(done=len(found))
    return found


def _same(before: StoredGrade, after: NewGrade) -> bool:
    """Whether a grade that could not be judged before still cannot, for the same reason."""
    return before.verdict is Verdict.UNGRADED and (before.key, before.verdict, before.problem) == (
        after.key,
        after.verdict,
        after.problem,
    )


def _as_if(before: StoredGrade, after: NewGrade | None) -> StoredGrade:
    if after is None:
        return before
    return dataclasses.replace(
        before, verdict=after.verdict, total=after.total, possible=after.possible, percent=after.percent
    )


def _rubrics(changes: Iterable[Change], today: dict[str, LabToday]) -> tuple[str, ...]:
    """Each lab whose rubric is another than that of a grade, with the versions."""
    told: dict[str, None] = {}
    for change in changes:
        lab = today[change.before.lab].lab
        if change.before.key.score != change.after.key.score:
            told[f"{lab.id} by rubric {lab.rubric.version}"] = None
    return tuple(told)
