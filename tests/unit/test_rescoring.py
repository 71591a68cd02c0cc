"""Second thoughts: who gains and loses what, and why, is known before it is written."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from graders.cohort.roster import Roster
from graders.course import Course, Lab, load_course
from graders.evidence.digest import bundle_digest
from graders.faults import UsageError
from graders.gradekey import GradeKey, judge_key, score_key
from graders.judgement import judge_bundle
from graders.model import Criterion, GradeReport, Rubric, Status, Verdict
from graders.progress import Silent
from graders.reports.report_json import _validator, report_document
from graders.rescoring import rescore
from graders.rescoring.again import score_again
from graders.rescoring.sidebyside import Job, judge_side_by_side
from graders.store import Event, GradeStore, NewGrade, open_store
from tests.unit.lab1_recording import reference

LEARNERS = ("ada", "bob", "cyn")


@dataclass(frozen=True)
class Changed(Course):
    """The course, with another rubric for lab 1."""

    rubric: Rubric | None = None

    def lab(self, slug: str) -> Lab:
        lab = super().lab(slug)
        return dataclasses.replace(lab, rubric=self.rubric or lab.rubric)


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


@pytest.fixture(scope="module")
def key(lab: Lab) -> GradeKey:
    return GradeKey("record", judge_key(lab.id), score_key(lab.rubric))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose operator does not set its metrics to what happened."""
    recording = reference()
    for scrape in recording.scrapes:
        scrape["text"] = ""
    folder = tmp_path_factory.mktemp("recorded") / "bundle"
    recording.store(folder)
    return folder


@pytest.fixture(scope="module")
def judged(lab: Lab, bundle: Path) -> GradeReport:
    report = judge_bundle(lab, bundle)
    assert report.verdict is Verdict.GRADED
    return report


@pytest.fixture
def store(tmp_path: Path, judged: GradeReport, bundle: Path, key: GradeKey) -> Iterator[GradeStore]:
    digest = bundle_digest(bundle)
    with open_store(tmp_path / "class.db") as opened:
        opened.enrol(Roster.of_ids(LEARNERS))
        for learner in LEARNERS[:2]:
            opened.save(NewGrade.of(judged, learner_id=learner, key=key, bundle=bundle, bundle_digest=digest))
        yield opened


def course(rubric: Rubric | None = None) -> Changed:
    return Changed(load_course().repository, ("lab1",), rubric)


def reweighed(rubric: Rubric, **points: str) -> Rubric:
    """The rubric with other points for some criteria, as a newer version."""

    def weighed(criterion: Criterion) -> Criterion:
        return dataclasses.replace(
            criterion, points=Decimal(points.get(criterion.id.replace("-", "_"), criterion.points))
        )

    criteria = tuple(weighed(each) for each in rubric.criteria)
    return dataclasses.replace(rubric, criteria=criteria, version="next", sha256="f" * 64)


def lost_and_kept(judged: GradeReport) -> tuple[Criterion, Criterion]:
    """A criterion that this run loses, and one that it earns."""
    assert judged.score is not None
    by_status = {one.status: one.criterion for one in judged.score.criteria if not one.criterion.planned}
    return by_status[Status.FAILED], by_status[Status.PASSED]


def without_clocks(document: Any) -> dict[str, Any]:
    outcomes = [{**each, "duration_s": 0} for each in document["outcomes"]]
    return {**document, "outcomes": outcomes, "timing": {}, "critical_path": []}


def test_where_nothing_changed_nothing_is_done(store: GradeStore) -> None:
    found = rescore(store, course(), Silent())
    assert (found.changes, found.scored, found.judged, found.up_to_date) == ((), 0, 0, 2)


def test_another_rubric_is_applied_to_stored_outcomes_as_if_they_were_judged(
    store: GradeStore, lab: Lab, judged: GradeReport, bundle: Path
) -> None:
    lost, kept = lost_and_kept(judged)
    rubric = reweighed(lab.rubric, **{kept.id.replace("-", "_"): "0.37", lost.id.replace("-", "_"): "9.3"})
    new = dataclasses.replace(lab, rubric=rubric)
    (grade, _) = store.grades()
    again = score_again(new, grade, store.report(grade.id), grade.key)
    anew = judge_bundle(new, bundle)
    assert anew.score is not None
    assert (again.total, again.possible) == (anew.score.total, anew.score.possible)
    assert again.percent == anew.score.percent
    document = store.report(store.save(again).id)
    assert not list(_validator().iter_errors(document))
    assert without_clocks(document) == _decimals(without_clocks(report_document(anew)))


def _decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _decimals(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_decimals(item) for item in value]
    return Decimal(str(value)) if isinstance(value, float) else value


def test_who_gains_and_loses_what_and_why_is_known_before_anything_is_written(
    store: GradeStore, lab: Lab, judged: GradeReport
) -> None:
    _, kept = lost_and_kept(judged)
    rubric = reweighed(lab.rubric, **{kept.id.replace("-", "_"): str(kept.points - 1)})
    found = rescore(store, course(rubric), Silent())
    assert (found.scored, found.judged) == (2, 0)
    assert [(one.before.learner_id, one.difference) for one in found.moving] == [("ada", -1), ("bob", -1)]
    points = f"{kept.points.normalize():f}"
    assert found.moving[0].why == (f"−1 {kept.id}: worth {(kept.points - 1).normalize():f}, was {points}",)
    assert [one.event for one in store.history()] == [Event.GRADED, Event.GRADED]

    found.write(store, author="E. Noether", reason="weighed too much")
    assert judged.score is not None
    assert judged.score.total is not None
    assert {one.total for one in store.grades()} == {judged.score.total - 1}
    last = store.history()[-1]
    assert (last.event, last.author, last.reason) == (Event.RESCORED, "E. Noether", "weighed too much")
    assert rescore(store, course(rubric), Silent()).up_to_date == 2


def test_without_a_reason_the_history_says_what_changed(store: GradeStore, lab: Lab) -> None:
    found = rescore(store, course(reweighed(lab.rubric)), Silent())
    assert found.moving == ()
    found.write(store, author="x")
    assert store.history()[-1].reason == "lab1 by rubric next"


def test_a_check_that_counts_for_nothing_any_more_is_told(
    store: GradeStore, lab: Lab, judged: GradeReport
) -> None:
    _, kept = lost_and_kept(judged)
    fewer = tuple(each for each in lab.rubric.criteria if each.id != kept.id)
    rubric = dataclasses.replace(lab.rubric, criteria=fewer, sha256="f" * 64)
    change = rescore(store, course(rubric), Silent()).moving[0]
    points = f"{kept.points.normalize():f}"
    assert change.why == (f"−{points} {kept.id}: the criterion is not counted any more",)


def test_an_override_survives_and_says_so(store: GradeStore, lab: Lab, judged: GradeReport) -> None:
    _, kept = lost_and_kept(judged)
    store.override("bob", "lab1", Decimal(50), possible=Decimal(100), author="E. N.", reason="appeal")
    rubric = reweighed(lab.rubric, **{kept.id.replace("-", "_"): str(kept.points - 1)})
    found = rescore(store, course(rubric), Silent())
    ada, bob = found.moving
    assert ada.result_after is not None
    assert not ada.result_after.overridden
    assert bob.why[-1].startswith("set to 50 by E. N.: appeal (else ")
    found.write(store, author="x")
    assert store.final("bob", "lab1").points == 50


def test_grades_that_changed_meanwhile_are_not_overwritten(store: GradeStore, lab: Lab) -> None:
    found = rescore(store, course(reweighed(lab.rubric)), Silent())
    rescore(store, course(reweighed(lab.rubric)), Silent()).write(store, author="somebody else")
    with pytest.raises(UsageError, match="has changed since it was read"):
        found.write(store, author="x")
    assert {one.author for one in store.grades()} == {"somebody else"}


def test_a_lab_of_which_nothing_is_stored_is_told(store: GradeStore) -> None:
    empty = Changed(load_course().repository, load_course().slugs)
    with pytest.raises(UsageError, match="there is no lab 'lab9'"):
        rescore(store, empty, Silent(), labs=["lab9"])


def damaged(folder: Path) -> None:
    (folder / "marks.jsonl").write_text((folder / "marks.jsonl").read_text().replace("created", "creater", 1))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damaged, "was changed after it was stored: it is evidence no longer"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "cannot be read: No such file"),
    ],
    ids=["changed", "gone"],
)
def test_a_bundle_that_is_not_what_was_stored_is_refused_and_no_other_is_affected(
    store: GradeStore,
    judged: GradeReport,
    key: GradeKey,
    bundle: Path,
    damage: Callable[[Path], object],
    told: str,
) -> None:
    assert store.address.folder is not None
    mine = shutil.copytree(bundle, store.address.folder / "mine")
    older = dataclasses.replace(key, judge="yesterday's checks")
    held = {"bundle": mine, "key": older}
    store.save(NewGrade.of(judged, learner_id="cyn", **held))
    store.save(NewGrade.of(judged, learner_id="bob", key=older, bundle=bundle))
    damage(mine)

    found = rescore(store, course(), Silent(), at_once=1)
    assert (found.judged, found.up_to_date) == (2, 1)
    (change,) = found.moving
    assert (change.before.learner_id, change.after.verdict, change.after.total) == (
        "cyn",
        Verdict.UNGRADED,
        None,
    )
    assert told in change.why[0]
    found.write(store, author="x")
    assert [(one.learner_id, one.verdict) for one in store.grades()] == [
        ("ada", Verdict.GRADED),
        ("bob", Verdict.GRADED),
        ("cyn", Verdict.UNGRADED),
    ]
    assert store.report(store.grades()[-1].id)["verdict"] == "ungraded"
    # Still so, and nothing new to tell; but it is not forgotten.
    again = rescore(store, course(), Silent(), at_once=1)
    assert (again.changes, again.judged, again.ungraded) == ((), 1, 1)


def test_what_was_rejected_or_left_no_record_is_never_judged(store: GradeStore, key: GradeKey) -> None:
    for verdict in (Verdict.REJECTED, Verdict.UNGRADED):
        ended = GradeReport("lab1", verdict, {"digest": verdict.value}, (), None, {}, problem="no cluster")
        store.save(NewGrade.of(ended, learner_id="cyn", key=dataclasses.replace(key, judge="yesterday's")))
    found = rescore(store, course(), Silent())
    assert (found.changes, found.judged, found.up_to_date, found.ungraded) == ((), 0, 3, 1)
    assert [one.verdict for one in found.to_grade] == [Verdict.UNGRADED]


def test_judging_that_does_not_end_is_ended_and_takes_nobody_else_along(
    store: GradeStore, key: GradeKey
) -> None:
    hanging, other = (Job(one, store.report(one.id), key) for one in store.grades())
    # Nothing is judged in a thousandth of a second.
    jobs = [dataclasses.replace(hanging, most_s=0.001), other]
    found = {one.learner_id: one for one in judge_side_by_side(jobs, at_once=1)}
    assert found["ada"].verdict is Verdict.UNGRADED
    assert found["ada"].problem.endswith("ended the process that judged it, or was not done within 0.001 s")
    assert found["bob"].verdict is Verdict.GRADED
