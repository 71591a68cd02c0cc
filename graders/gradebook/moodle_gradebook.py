"""`moodle-gradebook`: the CSV for Moodle's *Grades > Import*, which maps on ID number or email address.

Rows without a grade are left out: an import of feedback beside an empty grade wipes the grade that was there.
"""

from graders.gradebook.cells import points_cell, table, text_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import feedback
from graders.gradebook.matching import ids_of
from graders.gradebook.model import GradebookModel
from graders.gradebook.moodle_worksheet import as_html
from graders.gradebook.unsaid import left_out


class MoodleGradebook:
    """Writes `moodle.csv`, by ID number where all have one, else by email; Moodle compares case too."""

    name = "moodle-gradebook"
    about = "Moodle: Grades > Import > CSV file, mapped by ID number or email address"
    many = False
    one_lab = True

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        (lab,) = model.labs
        numbered = all(one.ids.get("idnumber") for one in model.learners)
        if numbered:
            ids = ids_of(model, lambda one: one.ids["idnumber"], what="ID number", column="id:idnumber")
        else:
            ids = ids_of(
                model, lambda one: one.email, what="email address (nor all an ID number)", column="email"
            )
        title = text_cell(lab.title or lab.lab)
        head = ("ID number" if numbered else "Email address", title, text_cell(f"{title} (feedback)"))
        rows = [
            (ids[learner.learner_id], points_cell(grade.points), as_html(feedback(grade)))
            for learner, _, grade in model.rows()
            if grade.points is not None
        ]
        return Exported({"moodle.csv": table([head, *rows])}, left_out(model))
