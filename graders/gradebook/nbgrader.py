"""`nbgrader`: the table that `nbgrader export` writes, quoted as CSV asks for (nbgrader itself does not).

nbgrader gives whoever handed nothing in a zero. Here such rows have no score, as the ungraded and excused
have.
"""

from datetime import UTC, datetime

from graders.gradebook.cells import points_cell, table, text_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.matching import ids_of
from graders.gradebook.model import AdjustmentKind, GradebookLearner, GradebookModel, LabGrade

HEADER = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email", "raw_score",
    "late_submission_penalty", "score", "max_score",
)  # fmt: skip


class NbgraderGrades:
    """Writes `grades.csv`; `score` is `raw_score` less the penalty, and an override is in both."""

    name = "nbgrader"
    about = "nbgrader: the table of nbgrader export"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        ids = ids_of(model, _student_id, what="nbgrader id", column="id:nbgrader")
        rows = [
            (
                text_cell(lab.lab),
                _utc(lab.due_at),
                _utc(grade.submitted_at),
                ids[learner.learner_id],
                text_cell(learner.last_name),
                text_cell(learner.first_name),
                text_cell(learner.email),
                *_scores(grade),
                points_cell(lab.possible if grade.possible is None else grade.possible),
            )
            for learner, lab, grade in model.rows()
        ]
        return Exported({"grades.csv": table([HEADER, *rows])})


def _utc(at: datetime | None) -> str:
    """A moment as nbgrader keeps it: in UTC, without saying so."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def _student_id(learner: GradebookLearner) -> str:
    return learner.ids.get("nbgrader") or learner.learner_id


def _scores(grade: LabGrade) -> tuple[str, str, str]:
    if grade.points is None:
        return "", "", ""
    penalty = -grade.changed_by(AdjustmentKind.LATE)
    return points_cell(grade.points + penalty), points_cell(penalty), points_cell(grade.points)
