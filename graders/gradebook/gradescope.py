"""`gradescope`: a `results.json` for each submission, as Gradescope's autograder leaves it.

Nothing in it is hidden: one hidden test would hide the total. The top-level score is the grade, which wins
over the sum of tests. A submission that is not graded has no score anywhere, which Gradescope takes for a
failed run and never for a zero.
"""

from typing import Any

from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import STATES
from graders.gradebook.model import CriterionGrade, GradebookModel, LabGrade
from graders.gradebook.perlearner import as_json, changes, place, see_names, why
from graders.gradebook.unsaid import HANDED_IN, NOTHING, left_out
from graders.model import Status
from graders.reports.text import clean, number, one_line


class GradescopeResults:
    """Writes `LAB/LEARNER/results.json`."""

    name = "gradescope"
    about = "Gradescope: a results.json for each submission"
    many = True
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The files; see `GradeExporter`."""
        see_names(model)
        files = {
            place(learner, lab, "results.json"): as_json(_results(grade))
            for learner, lab, grade in model.rows()
            if grade.state in HANDED_IN
        }
        return Exported(files, left_out(model, NOTHING))


def _results(grade: LabGrade) -> dict[str, Any]:
    told: dict[str, Any] = {} if grade.points is None else {"score": number(grade.points)}
    output = changes(grade)
    if grade.points is None:
        output = f"{STATES[grade.state]}\n{clean(grade.problem)}".strip()
    return told | {
        "output": output,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(grade, one, i) for i, one in enumerate(grade.criteria, 1)],
        "extra_data": {"kubeproof": {"state": grade.state.value, "digest": one_line(grade.digest)}},
    }


def _test(grade: LabGrade, criterion: CriterionGrade, at: int) -> dict[str, Any]:
    test: dict[str, Any] = {"name": one_line(criterion.title), "number": str(at)}
    if grade.points is not None and criterion.earned is not None:
        test["score"] = number(criterion.earned)
        test["max_score"] = number(criterion.points)
        if criterion.status in (Status.PASSED, Status.FAILED):
            test["status"] = criterion.status.value
    return test | {
        "output": why(grade, criterion),
        "output_format": "text",
        "visibility": "visible",
        "tags": [one_line(criterion.group), criterion.status.value],
    }
