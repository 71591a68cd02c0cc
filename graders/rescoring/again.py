"""One stored grade anew: its points from stored outcomes, or all of it from its bundle."""

from collections.abc import Mapping
from typing import Any

from graders.course import Lab
from graders.evidence.digest import verify_digest
from graders.faults import InfraFault, KubeproofError
from graders.gradekey import GradeKey
from graders.judgement import judge_bundle
from graders.model import Fault, GradeReport, Outcome, Score, Status, Verdict
from graders.reports.report_json import report_document
from graders.scoring import score
from graders.store import Event, NewGrade, StoredGrade

_BY_SCORE = ("verdict", "problem", "total", "possible", "percent", "criteria", "notes")
"""What of a report depends on the rubric."""

Report = Mapping[str, Any]


def score_again(lab: Lab, grade: StoredGrade, report: Report, key: GradeKey) -> NewGrade:
    """A grade by today's rubric from the outcomes that its report has: nothing is judged."""
    outcomes = tuple(_outcome(each) for each in report["outcomes"])
    provenance = {
        **report["provenance"],
        "rubric_version": lab.rubric.version,
        "rubric_sha256": lab.rubric.sha256,
    }
    points = score(lab.rubric, outcomes, capabilities=provenance.get("capabilities", ()))
    verdict = Verdict.UNGRADED if points.total is None else Verdict.GRADED
    again = GradeReport(
        lab.id, verdict, report["submission"], outcomes, points, provenance, problem=_problem(points)
    )
    fresh = report_document(again)
    document = {**report, **{name: fresh[name] for name in _BY_SCORE}, "provenance": provenance}
    # Texts stay as they were stored; a hint goes if its criteria are hidden now.
    document["outcomes"] = [
        {**was, "hint": was["hint"] if now["hint"] else ""}
        for was, now in zip(report["outcomes"], fresh["outcomes"], strict=True)
    ]
    return _new(grade, key, document, points, verdict)


def judge_again(lab: Lab, grade: StoredGrade, report: Report, key: GradeKey) -> NewGrade:
    """A grade by today's checks and rubric from its bundle; one that is not what was stored is refused.

    What keeps it from being judged makes it UNGRADED, and is told in its report.
    """
    assert grade.bundle is not None
    try:
        verify_digest(grade.bundle, grade.bundle_digest or "")
        judged = judge_bundle(lab, grade.bundle)
    except KubeproofError as error:
        return refused(grade, report, key, str(error))
    except Exception as error:  # a bug of a check's author is nobody's zero, and no end of all others
        return refused(grade, report, key, f"grader: {error!r}")
    if judged.provenance["rubric_sha256"] != lab.rubric.sha256:
        raise InfraFault("the rubric changed while it was judged by", fix="run the same command again")
    return NewGrade.of(
        judged,
        learner_id=grade.learner_id,
        key=key,
        submission=grade.submission,
        submitted_at=grade.submitted_at,
        bundle=grade.bundle,
        bundle_digest=grade.bundle_digest,
        provider=grade.provider,
        event=Event.RESCORED,
        replaces=grade.id,
    )


def refused(grade: StoredGrade, report: Report, key: GradeKey, problem: str) -> NewGrade:
    """The grade as one that cannot be judged, and why."""
    provenance, submission = dict(report["provenance"]), dict(report["submission"])
    ended = GradeReport(grade.lab, Verdict.UNGRADED, submission, (), None, provenance, problem=problem)
    return _new(grade, key, report_document(ended), None, Verdict.UNGRADED)


def _new(
    grade: StoredGrade, key: GradeKey, document: Report, points: Score | None, verdict: Verdict
) -> NewGrade:
    graded = points if points is not None and verdict is Verdict.GRADED else None
    return NewGrade(
        learner_id=grade.learner_id,
        lab=grade.lab,
        submission=grade.submission,
        key=key,
        verdict=verdict,
        problem=str(document["problem"]),
        total=graded.total if graded else None,
        possible=points.possible if points else None,
        percent=graded.percent if graded else None,
        report=document,
        provider=grade.provider,
        submitted_at=grade.submitted_at,
        bundle=grade.bundle,
        bundle_digest=grade.bundle_digest,
        event=Event.RESCORED,
        replaces=grade.id,
    )


def _outcome(stored: Report) -> Outcome:
    return Outcome(
        check_id=stored["check"],
        status=Status(stored["status"]),
        hint=stored["hint"],
        fault=Fault(stored["fault"]) if stored["fault"] else None,
    )


def _problem(points: Score) -> str:
    if points.total is not None:
        return ""
    waiting = [one.criterion.id for one in points.criteria if one.status is Status.ERROR]
    return f"these criteria rest on checks that could not be judged: {', '.join(waiting)}"
