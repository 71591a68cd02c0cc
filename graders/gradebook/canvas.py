"""`canvas`: the CSV that Canvas' gradebook imports, by the rules of its `GradebookImporter`.

Canvas finds a learner by `ID`, then `SIS User ID`, `SIS Login ID`, and last by name, which is not enough
here. A column finds its assignment by the number in its title; one without a number finds it by the title,
or Canvas offers to create it. An empty cell clears what stood there: an ungraded lab has no grade in Canvas
either.
"""

import re
from collections.abc import Mapping

from graders.faults import UsageError
from graders.gradebook.cells import points_cell, table, text_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.matching import ids_unchanged, stop
from graders.gradebook.model import GradebookLearner, GradebookModel, GradeState, LabColumn, LabGrade
from graders.gradebook.unsaid import left_out

_IDS = {
    "ID": "canvas",
    "SIS User ID": "sis_user",
    "SIS Login ID": "sis_login",
    "Integration ID": "integration",
}
_FINDS = ("canvas", "sis_user", "sis_login")
_POSSIBLE = "Points Possible"
_OWN_COLUMN = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
_REWRITTEN = re.compile(r"-?[0-9.,]*[.,][0-9.,]*%?")


class CanvasGrades:
    """Writes `canvas.csv`; excused is `EX`, ungraded and missing are empty."""

    name = "canvas"
    about = "Canvas: Grades > Import"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        _see_that_all_are_found(model)
        stop(
            [
                learner.learner_id
                for learner, lab, grade in model.rows()
                if grade.points is not None and grade.possible != lab.possible
            ],
            "were graded out of other points than the lab has in the gradebook",
            "grade or rescore them with today's rubric first",
        )
        head = ("Student", *_IDS, "Section", *(_heading(lab) for lab in model.labs))
        blank = [""] * (len(_IDS) + 1)
        possible = (f"    {_POSSIBLE}", *blank, *(points_cell(lab.possible) for lab in model.labs))
        rows = [
            (
                _student(learner),
                *(learner.ids.get(key, "") for key in _IDS.values()),
                text_cell(learner.section),
                *(_cell(model.grade(learner, lab)) for lab in model.labs),
            )
            for learner in model.learners
        ]
        notes = tuple(
            f"{lab.lab} has no Canvas assignment: the column is matched by its title {_heading(lab)!r}, and "
            "where there is none of that title Canvas offers to create it"
            for lab in model.labs
            if not lab.canvas_id
        )
        # An empty cell does not say which of these it is.
        notes += left_out(model, (GradeState.UNGRADED, GradeState.REJECTED, GradeState.MISSING))
        return Exported({"canvas.csv": table([head, possible, *rows])}, notes)


def _see_that_all_are_found(model: GradebookModel) -> None:
    stop(
        [one.learner_id for one in model.learners if not any(one.ids.get(key) for key in _FINDS)],
        "have no Canvas id, SIS user id or SIS login id, and a name alone may find somebody else",
        "fill in id:canvas, id:sis_user or id:sis_login of the roster for them",
    )
    for column, key in _IDS.items():
        found: Mapping[str, str] = {one.learner_id: one.ids.get(key, "") for one in model.learners}
        ids_unchanged(dict(found), column)
        given = [value for value in found.values() if value]
        stop(
            [name for name, value in found.items() if value and given.count(value) > 1],
            f"share their {column} with somebody",
            f"give each its own id:{key} in the roster",
        )
        stop(
            [name for name, value in found.items() if _REWRITTEN.fullmatch(value)],
            f"have a {column} that Canvas would read as a decimal number",
            f"correct id:{key} in the roster, or leave it empty and give another id",
        )
    stop(
        [one.learner_id for one in model.learners if not re.fullmatch(r"\d*", one.ids.get("canvas", ""))],
        "have a Canvas id that is not a number",
        "correct id:canvas in the roster: it is the ID of an exported gradebook",
    )


def _student(learner: GradebookLearner) -> str:
    """The name, which Canvas shows and, with an id beside it, matches nothing by."""
    name = text_cell(f"{learner.last_name}, {learner.first_name}".strip(", ") or learner.learner_id)
    # Canvas takes any row whose first cell holds these words for the maxima of all assignments.
    return "(name withheld)" if _POSSIBLE in name else name


def _heading(lab: LabColumn) -> str:
    title = text_cell(lab.title or lab.lab)
    if _OWN_COLUMN.search(title) or title in (*_IDS, "Student", "Section") or _REWRITTEN.fullmatch(title):
        raise UsageError(
            f"Canvas would not take {title!r} for an assignment: it keeps such columns for itself",
            fix=f"give {lab.lab} another title in course.yaml, and rename the assignment in Canvas",
        )
    return f"{title} ({lab.canvas_id})" if lab.canvas_id else title


def _cell(grade: LabGrade) -> str:
    return "EX" if grade.state is GradeState.EXCUSED else points_cell(grade.points)
