"""`moodle-worksheet`: fills the grading worksheet of a Moodle assignment.

Moodle reads three things back: `Identifier`, `Grade` and the feedback. It compares `Last modified (grade)`
with what it has, so that cell stays as it is. Grades go in for those that have one; every other row is
untouched.
"""

import html
import re
from collections import Counter
from decimal import Decimal, InvalidOperation

from graders.faults import UsageError
from graders.gradebook.cells import points_cell, runs, table
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.feedback import feedback
from graders.gradebook.matching import stop
from graders.gradebook.model import GradebookLearner, GradebookModel, LabColumn, LabGrade
from graders.gradebook.unsaid import left_out
from graders.gradebook.worksheet import Worksheet, read_worksheet
from graders.reports.text import one_line

_AS_DOWNLOADED = ("identifier", "grade", "modified", "feedback")
_LAST_NUMBER = re.compile(r"(\d+)\s*$")


class MoodleWorksheet:
    """Writes `worksheet.csv`."""

    name = "moodle-worksheet"
    about = "Moodle: fills an assignment's grading worksheet (--worksheet FILE)"
    many = False
    one_lab = True

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:
        """The filled worksheet; see `GradeExporter`."""
        sheet = read_worksheet(options.worksheet, options.columns)
        (lab,) = model.labs
        rows = [[_safe(sheet, i, cell) for i, cell in enumerate(row)] for row in sheet.rows]
        notes = [*left_out(model)]
        if "feedback" not in sheet.columns:
            notes.append("the worksheet has no column for feedback comments: points are written, reasons not")
        places = _places(model, sheet)
        for learner in model.learners:
            grade, at = model.grade(learner, lab), places[learner.learner_id]
            if grade.points is None:
                continue
            _see_maximum(sheet, at, lab, grade)
            rows[at][sheet.columns["grade"]] = points_cell(grade.points)
            if "feedback" in sheet.columns:
                rows[at][sheet.columns["feedback"]] = as_html(feedback(grade))
            if sheet.value(sheet.rows[at], "changeable").casefold() == "no":
                notes.append(
                    f"{one_line(learner.learner_id, 80)}: Moodle has this grade locked, and keeps it"
                )
        written = table([[_safe(sheet, -1, cell) for cell in sheet.header], *rows])
        return Exported(
            {"worksheet.csv": ("\ufeff".encode() if sheet.marked else b"") + written}, tuple(notes)
        )


def as_html(text: str) -> str:
    """Plain text as the HTML that Moodle takes feedback for.

    What a spreadsheet would run looks the same to a reader, with an entity for its first character.
    """
    text = text.strip()
    first = f"&#{ord(text[0])};" if runs(text) else html.escape(text[:1])
    return first + html.escape(text[1:]).replace("\n", "<br />")


def _places(model: GradebookModel, sheet: Worksheet) -> dict[str, int]:
    """The row of each learner: by Moodle's number, else by ID number, else by email address."""
    keys = {
        "identifier": [_number(sheet.value(row, "identifier")) for row in sheet.rows],
        "idnumber": [sheet.value(row, "idnumber") for row in sheet.rows],
        "email": [sheet.value(row, "email").casefold() for row in sheet.rows],
    }
    if i := next((i for i, number in enumerate(keys["identifier"]) if not number), None):
        raise UsageError(
            "this identifier has no number in it",
            file=sheet.file,
            line=sheet.lines[i],
            fix="download it anew",
        )
    where: dict[str, dict[str, int]] = {
        name: {value: i for i, value in enumerate(values) if value and values.count(value) == 1}
        for name, values in keys.items()
    }
    found: dict[str, int] = {}
    for learner in model.learners:
        place = _place(learner, where)
        if place is not None:
            found[learner.learner_id] = place
    stop(
        [one.learner_id for one in model.learners if one.learner_id not in found],
        f"are not in {sheet.file}, by their Moodle number, ID number or email address",
        "fill in id:moodle, id:idnumber or email of the roster, or enrol them and download it anew",
    )
    times = Counter(found.values())
    stop(
        [name for name, place in found.items() if times[place] > 1],
        f"have the same row of {sheet.file}",
        "give each its own id:moodle, id:idnumber and email in the roster",
    )
    return found


def _place(learner: GradebookLearner, where: dict[str, dict[str, int]]) -> int | None:
    for column, value in (
        ("identifier", learner.ids.get("moodle", "")),
        ("idnumber", learner.ids.get("idnumber", "")),
        ("email", learner.email.casefold()),
    ):
        if value and value in where[column]:
            return where[column][value]
    return None


def _number(identifier: str) -> str:
    match = _LAST_NUMBER.search(identifier)
    return match[1] if match else ""


def _see_maximum(sheet: Worksheet, at: int, lab: LabColumn, grade: LabGrade) -> None:
    told = sheet.value(sheet.rows[at], "maximum")
    try:
        maximum = Decimal(told) if told else None
    except InvalidOperation:
        # A site that writes a decimal comma; the number is for people, Moodle does not read it back.
        maximum = Decimal(told.replace(",", ".")) if re.fullmatch(r"\d+,\d+", told) else None
    if maximum is not None and grade.possible != maximum:
        raise UsageError(
            f"{grade.learner_id} was graded out of {points_cell(grade.possible)} points, "
            f"and Moodle's maximum is {told}",
            file=sheet.file,
            line=sheet.lines[at],
            fix=f"set the assignment's maximum grade to {points_cell(lab.possible)}, and download it anew",
        )


def _safe(sheet: Worksheet, column: int, cell: str) -> str:
    """A cell as it was; one that a spreadsheet would run is marked, if Moodle does not read it back."""
    kept = column in {sheet.columns[name] for name in _AS_DOWNLOADED if name in sheet.columns}
    return cell if kept or not runs(cell) else f"'{cell}"
