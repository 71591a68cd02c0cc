"""What learners don't get to read: staff's tracebacks, and hints of criteria that a rubric hides."""

import dataclasses

from graders.model import GradeReport

_HIDDEN = "hidden"


def for_learners(report: GradeReport) -> GradeReport:
    """`report` without any `detail`, and without the hints of checks that only hidden criteria name."""
    criteria = [one.criterion for one in report.score.criteria] if report.score else []
    named = {check for one in criteria if one.visibility == _HIDDEN for check in one.checks}
    named -= {check for one in criteria if one.visibility != _HIDDEN for check in one.checks}
    outcomes = tuple(
        dataclasses.replace(outcome, detail="", hint="" if outcome.check_id in named else outcome.hint)
        for outcome in report.outcomes
    )
    return dataclasses.replace(report, outcomes=outcomes)
