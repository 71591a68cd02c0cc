"""`prairielearn`: the results of an external grader for each submission, with a score from 0 to 1.

`gradable: false` is PrairieLearn's way to say that something was not graded; it takes no attempt and no
points.
"""

from decimal import Decimal
from typing import Any

from graders.faults import InfraFault
from graders.gradebook.cells import points_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import STATES
from graders.gradebook.matching import stop
from graders.gradebook.model import CriterionGrade, GradebookModel, LabGrade
from graders.gradebook.perlearner import as_json, changes, place, see_names, why
from graders.gradebook.unsaid import HANDED_IN, NOTHING, left_out
from graders.reports.text import clean, number, one_line

LARGEST_BYTES = 1024 * 1024
"""What PrairieLearn takes at most."""


class PrairieLearnResults:
    """Writes `LAB/LEARNER/results.json`."""

    name = "prairielearn"
    about = "PrairieLearn: the results of an external grader for each submission"
    many = True
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The files; see `GradeExporter`."""
        see_names(model)
        stop(
            [
                learner.learner_id
                for learner, _, grade in model.rows()
                if grade.points is not None and not (grade.possible and 0 <= grade.points <= grade.possible)
            ],
            "have points that are no share from 0 to 1, which is all that PrairieLearn takes",
            "use another format for them, or an override that stays within the lab's points",
        )
        files = {
            place(learner, lab, "results.json"): _file(grade)
            for learner, lab, grade in model.rows()
            if grade.state in HANDED_IN
        }
        return Exported(files, left_out(model, NOTHING))


def _file(grade: LabGrade) -> bytes:
    """With reasons, and without where there are so many that PrairieLearn would not take them."""
    for reasons in (True, False):
        data = as_json(_results(grade, reasons=reasons))
        if len(data) <= LARGEST_BYTES:
            return data
    raise InfraFault(f"{grade.learner_id}: {len(grade.criteria)} criteria do not fit into 1 MiB")


def _results(grade: LabGrade, *, reasons: bool) -> dict[str, Any]:
    if grade.points is None or not grade.possible:
        problem = f"{STATES[grade.state]} {one_line(grade.problem)}".strip()
        return {"gradable": False, "message": problem, "output": "", "format_errors": [problem], "tests": []}
    told = [f"{points_cell(grade.points)} of {points_cell(grade.possible)} points", changes(grade)]
    return {
        "gradable": True,
        "score": share(grade.points, grade.possible),
        "message": clean("\n".join(filter(None, told))),
        "output": "",
        "format_errors": [],
        "tests": [_test(grade, one, reasons=reasons) for one in grade.criteria],
    }


def share(points: Decimal, possible: Decimal) -> float:
    """Points as the part of what was possible that PrairieLearn multiplies with its own."""
    return float(points / possible)


def _test(grade: LabGrade, criterion: CriterionGrade, *, reasons: bool) -> dict[str, Any]:
    return {
        "name": one_line(criterion.title),
        "description": one_line(criterion.group),
        **({} if criterion.earned is None else {"points": number(criterion.earned)}),
        "max_points": number(criterion.points),
        "message": criterion.status.value,
        "output": why(grade, criterion) if reasons else "",
    }
