"""`lti`: score payloads of LTI Assignment and Grade Services 2.0, one JSON object a line, ready to post.

Each is of media type `application/vnd.ims.lis.v1.score+json`. What is not graded is `PendingManual` and has
no score. A platform refuses a payload that is not newer than what it has, and an extension or a lifted
override changes points without a new grade: so the time is that of the export.
"""

from datetime import UTC, datetime
from typing import Any

from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import feedback
from graders.gradebook.matching import ids_of, stop
from graders.gradebook.model import GradebookModel, LabGrade
from graders.gradebook.perlearner import as_json
from graders.gradebook.unsaid import HANDED_IN, NOTHING, left_out
from graders.reports.text import clean, number

_COMMENT = 4_000


class LtiScores:
    """Writes `scores.jsonl`; a line item is one lab's, and so is the file."""

    name = "lti"
    about = "LTI: score payloads (AGS 2.0) to post to a line item, one a line"
    many = False
    one_lab = True

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:
        """The payloads; see `GradeExporter`."""
        ids = ids_of(model, lambda one: one.ids.get("lti", ""), what="LTI user id", column="id:lti")
        told = [
            (learner.learner_id, grade, options.at or _at(grade))
            for learner, _, grade in model.rows()
            if grade.state in HANDED_IN
        ]
        stop(
            [learner for learner, _, at in told if at is None],
            "have a grade of which nobody knows when it was made, with its time zone",
            "grade or rescore them again",
        )
        payloads = [_payload(ids[learner], grade, at) for learner, grade, at in told if at is not None]
        lines = [as_json(payload, indent=None) for payload in payloads]
        notes = left_out(model, NOTHING)
        return Exported({"scores.jsonl": b"".join(lines)}, notes)


def _payload(user: str, grade: LabGrade, at: datetime) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "userId": user,
        "activityProgress": "Completed" if grade.points is not None else "Submitted",
        "gradingProgress": "FullyGraded" if grade.points is not None else "PendingManual",
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "comment": clean(feedback(grade), _COMMENT),
    }
    if grade.points is not None and grade.possible is not None:
        payload |= {"scoreGiven": number(grade.points), "scoreMaximum": number(grade.possible)}
    return payload


def _at(grade: LabGrade) -> datetime | None:
    at = grade.graded_at
    return at if at is not None and at.tzinfo is not None else None
