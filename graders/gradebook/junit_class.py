"""`junit`: a class as JUnit XML, one suite for each learner and lab, one case for each criterion.

A `failure` is a learner's loss or a rejected submission, an `error` is what infrastructure or the grader
broke, and `skipped` is what was blocked, unsupported or excused. A case has no place for points in pytest's
schema; a suite's properties do.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from graders.gradebook.cells import points_cell
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import STATES, earned_text, reasons, signed
from graders.gradebook.model import (
    CriterionGrade,
    GradebookLearner,
    GradebookModel,
    GradeState,
    LabColumn,
    LabGrade,
)
from graders.model import Fault, Status
from graders.reports.text import clean, one_line

_KINDS = ("failure", "error", "skipped")


class JUnitGrades:
    """Writes `grades.xml`."""

    name = "junit"
    about = "JUnit XML: a suite for each learner and lab, a case for each criterion"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The file; see `GradeExporter`."""
        root = Element("testsuites", {"name": one_line(model.course) or "kubeproof"})
        root.extend([_suite(learner, lab, grade) for learner, lab, grade in model.rows()])
        indent(root)
        text = '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"
        return Exported({"grades.xml": text.encode()})


def _suite(learner: GradebookLearner, lab: LabColumn, grade: LabGrade) -> Element:
    place = f"{one_line(lab.lab)}.{one_line(learner.learner_id)}"
    cases = [_case(place, grade, one) for one in grade.criteria]
    if grade.state is not GradeState.GRADED:
        cases.append(_state_case(place, grade))
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in _KINDS}
    suite = Element(
        "testsuite",
        {
            "name": place,
            "tests": str(len(cases)),
            "failures": str(counts["failure"]),
            "errors": str(counts["error"]),
            "skipped": str(counts["skipped"]),
        },
    )
    properties = SubElement(suite, "properties")
    for name, value in _properties(learner, lab, grade):
        SubElement(properties, "property", {"name": name, "value": value})
    suite.extend(cases)
    return suite


def _properties(learner: GradebookLearner, lab: LabColumn, grade: LabGrade) -> Iterator[tuple[str, str]]:
    yield "learner", one_line(learner.learner_id)
    yield "lab", one_line(lab.lab)
    yield "state", grade.state.value
    if grade.points is not None:
        yield "points", points_cell(grade.points)
        yield "possible", points_cell(grade.possible)
    for one in grade.adjustments:
        yield f"adjustment.{one.kind.value}", f"{signed(one)}: {one_line(one.reason)}"
    for criterion in grade.criteria:
        yield f"points.{one_line(criterion.id)}", earned_text(criterion)


def _case(place: str, grade: LabGrade, criterion: CriterionGrade) -> Element:
    case = Element("testcase", {"classname": place, "name": one_line(criterion.id), "time": "0"})
    kind = _kind(criterion)
    if kind == "failure" and grade.state is not GradeState.GRADED:
        kind = "skipped"  # Nobody has lost a point of what is not graded as a whole.
    if kind:
        told = clean("\n".join(reasons(grade, criterion)))
        message = one_line(criterion.title or criterion.id, 300)
        SubElement(case, kind, {"message": message, "type": criterion.status.value}).text = told
    return case


def _kind(criterion: CriterionGrade) -> str:
    match criterion.status:
        case Status.PASSED:
            return ""
        case Status.BLOCKED | Status.UNSUPPORTED:
            return "skipped"
        case Status.FAILED if criterion.fault in (None, Fault.LEARNER):
            return "failure"
        case _:
            return "error"


def _state_case(place: str, grade: LabGrade) -> Element:
    case = Element("testcase", {"classname": place, "name": "grade", "time": "0"})
    kinds = {GradeState.UNGRADED: "error", GradeState.REJECTED: "failure"}
    kind = kinds.get(grade.state, "skipped")
    message = one_line(grade.problem or STATES[grade.state], 300)
    SubElement(case, kind, {"message": message, "type": grade.state.value})
    return case
