"""`csv`: one row for each learner and lab, for a spreadsheet or a program of one's own."""

from datetime import datetime

from graders.gradebook.cells import points_cell, table, text_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import adjustment_text
from graders.gradebook.matching import ids_of
from graders.gradebook.model import AdjustmentKind, GradebookModel

HEADER = (
    "learner_id", "last_name", "first_name", "email", "section", "lab", "state", "points", "possible",
    "late_points", "override_points", "adjustments", "problem", "submitted_at", "graded_at",
)  # fmt: skip


class CsvGrades:
    """Writes `grades.csv`; `points` is empty in every state but `graded`."""

    name = "csv"
    about = "a row for each learner and lab, with state, points and what changed them"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        ids = ids_of(model, lambda one: one.learner_id, what="learner id", column="learner_id")
        rows = [
            (
                ids[learner.learner_id],
                text_cell(learner.last_name),
                text_cell(learner.first_name),
                text_cell(learner.email),
                text_cell(learner.section),
                text_cell(lab.lab),
                grade.state.value,
                points_cell(grade.points),
                points_cell(grade.possible if grade.possible is not None else lab.possible),
                points_cell(grade.changed_by(AdjustmentKind.LATE)),
                points_cell(grade.changed_by(AdjustmentKind.OVERRIDE)),
                text_cell("; ".join(adjustment_text(one) for one in grade.adjustments)),
                text_cell(grade.problem),
                moment(grade.submitted_at),
                moment(grade.graded_at),
            )
            for learner, lab, grade in model.rows()
        ]
        return Exported({"grades.csv": table([HEADER, *rows])})


def moment(at: datetime | None) -> str:
    """A time in ISO 8601; empty where there is none."""
    return "" if at is None else at.isoformat()
