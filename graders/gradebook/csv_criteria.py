"""`csv-criteria`: one row for each learner, lab and criterion, for analyses of one's own."""

from graders.gradebook.cells import points_cell, table, text_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import reasons
from graders.gradebook.matching import ids_of
from graders.gradebook.model import GradebookModel, GradeState

HEADER = (
    "learner_id", "lab", "state", "criterion", "title", "group", "status", "earned", "points", "reason",
)  # fmt: skip


class CsvCriteria:
    """Writes `criteria.csv`; a grade without criteria has one row, so that nobody is left out."""

    name = "csv-criteria"
    about = "a row for each learner, lab and criterion, with the reason of each loss"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        ids = ids_of(model, lambda one: one.learner_id, what="learner id", column="learner_id")
        rows: list[tuple[str, ...]] = []
        for learner, lab, grade in model.rows():
            first = (ids[learner.learner_id], text_cell(lab.lab), grade.state.value)
            if not grade.criteria:
                rows.append((*first, "", "", "", "", "", "", text_cell(grade.problem)))
            rows += [
                (
                    *first,
                    text_cell(one.id),
                    text_cell(one.title),
                    text_cell(one.group),
                    one.status.value,
                    # Whoever adds these up must not make a grade of what is none.
                    points_cell(one.earned if grade.state is GradeState.GRADED else None),
                    points_cell(one.points),
                    text_cell("\n".join(reasons(grade, one)), lines=True),
                )
                for one in grade.criteria
            ]
        return Exported({"criteria.csv": table([HEADER, *rows])})
