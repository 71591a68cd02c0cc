"""Reads every gradebook format as its system does: learner id to points, None where it sees no grade.

Each reader is written from the system's own rules, not from our exporter. A format without a reader fails.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from xml.etree import ElementTree as ET

from graders.gradebook.model import GradebookModel

Read = Callable[[Mapping[str, bytes], GradebookModel], dict[str, Decimal | None]]


def rows_of(content: bytes) -> list[dict[str, str]]:
    """A table by its header; every row has every cell."""
    head, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    assert all(len(row) == len(head) for row in rows)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _points(cell: str) -> Decimal | None:
    assert re.fullmatch(r"-?\d+(\.\d+)?|", cell), f"{cell!r} is no plain number"
    return Decimal(cell) if cell else None


def _csv(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    found = {}
    for row in rows_of(files["grades.csv"]):
        found[row["learner_id"]] = _points(row["points"])
        assert (row["state"] == "graded") == bool(row["points"])
    return found


def _criteria(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    """The sum of criteria, and of what changed it, which is the grade."""
    sums: dict[str, Decimal | None] = {}
    for row in rows_of(files["criteria.csv"]):
        earned = _points(row["earned"])
        before = sums.get(row["learner_id"], Decimal(0))
        graded = row["state"] == "graded" and before is not None and earned is not None
        sums[row["learner_id"]] = before + earned if graded else None
    evidence = {one.learner_id: one.criteria for one in model.grades}
    for name, total in sums.items():
        if total is not None:
            assert total == sum((each.earned or Decimal(0) for each in evidence[name]), Decimal(0))
    points = {one.learner_id: one.points for one in model.grades}
    return {name: None if total is None else points[name] for name, total in sums.items()}


def canvas_number(field: str) -> str:
    """What Canvas' converter makes of a field before anything looks at it."""
    if not re.fullmatch(r"-?[0-9.,]+%?", field):
        return field
    *head, last = re.split(r"[,.]", field)
    return f"{''.join(head)}.{last}" if head else last


def _canvas(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    """`GradebookImporter`: header, then rows; `Points Possible` anywhere in the first cell is no learner."""
    rows = list(csv.reader(io.StringIO(files["canvas.csv"].decode(), newline=""), strict=True))
    head, *rest = [[canvas_number(cell) for cell in row] for row in rows]
    assert "Student" in head[0]
    assert "ID" in head[1]
    columns = 3
    if re.search(r"SIS\s+User\s+ID", head[2]) and re.search(r"SIS\s+Login\s+ID", head[3]):
        columns += 2 + bool(re.search(r"Integration\s+ID", head[4]))
    assert "Section" in head[columns - 1]
    titles = head[columns:]
    assert len(titles) == len(model.labs)
    ours = re.compile(
        "Current Score|Current Points|Current Grade|Final Score|Final Points|Final Grade|Override"
    )
    assert not any(ours.search(title) for title in titles)
    assert [re.fullmatch(r"(.*)\s\((\d+)\)", title)[2] for title in titles] == [  # type: ignore[index]
        lab.canvas_id for lab in model.labs
    ]
    by_id = {one.ids["canvas"]: one.learner_id for one in model.learners}
    found: dict[str, Decimal | None] = {}
    maxima = 0
    for row in rest:
        if "Points Possible" in row[0]:
            maxima += 1
            assert Decimal(row[columns]) == model.labs[0].possible
        else:
            cell = row[columns].strip()
            found[by_id[row[1]]] = None if cell.upper() == "EX" else _points(cell)
    assert maxima == 1
    return found


def _moodle_worksheet(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    """`assignfeedback_offline_grade_importer`: the number at the end of the identifier, and the grade."""
    by_number = {one.ids["moodle"]: one.learner_id for one in model.learners}
    return {
        by_number[row["Identifier"].removeprefix("Participant ")]: _points(row["Grade"])
        for row in rows_of(files["worksheet.csv"])
    }


def _moodle_gradebook(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    """Mapped on `useridnumber`, case-sensitive; who is not in it keeps what is there."""
    by_number = {one.ids["idnumber"]: one.learner_id for one in model.learners}
    found: dict[str, Decimal | None] = dict.fromkeys(by_number.values())
    for row in rows_of(files["moodle.csv"]):
        points = _points(row[model.labs[0].title])
        assert points is not None, "feedback beside an empty grade wipes the grade"
        found[by_number[row["ID number"]]] = points
    return found


def _results(files: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    return {name.split("/")[1]: json.loads(data, parse_float=Decimal) for name, data in files.items()}


def _gradescope(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    found: dict[str, Decimal | None] = dict.fromkeys(one.learner_id for one in model.learners)
    for name, result in _results(files).items():
        tests = result["tests"]
        assert isinstance(tests, list)
        assert all(test["visibility"] == "visible" for test in tests)
        assert all(test.get("status") in (None, "passed", "failed") for test in tests)
        if "score" not in result:
            assert not any("score" in test for test in tests), "Gradescope would add these up"
        found[name] = Decimal(str(result["score"])) if "score" in result else None
    return found


def _prairielearn(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    found: dict[str, Decimal | None] = dict.fromkeys(one.learner_id for one in model.learners)
    possible = model.labs[0].possible
    for name, result in _results(files).items():
        if result["gradable"]:
            score = Decimal(str(result["score"]))
            assert 0 <= score <= 1
            found[name] = round(score * possible, 9)
        else:
            assert result["format_errors"]
            assert "score" not in result
    return found


def _nbgrader(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    found = {}
    for row in rows_of(files["grades.csv"]):
        score = _points(row["score"])
        found[row["student_id"]] = score
        if score is None:
            assert row["raw_score"] == row["late_submission_penalty"] == ""
        else:
            assert score == Decimal(row["raw_score"]) - Decimal(row["late_submission_penalty"])
    return found


def _junit(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    found: dict[str, Decimal | None] = {}
    for suite in ET.fromstring(files["grades.xml"]):
        told = {one.get("name"): one.get("value") or "" for one in suite.iter("property")}
        learner = told["learner"] or ""
        found[learner] = _points(told["points"]) if "points" in told else None
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        blamed = any(case.find("failure") is not None for case in cases)
        if told["state"] != "graded":
            assert blamed == (told["state"] == "rejected"), "only what is the learner's is a failure"
            assert cases, "a suite without cases is green"
    return found


def _parquet(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(files["grades.parquet"]))
    return {row["learner_id"]: row["points"] for row in table.to_pylist()}


def _lti(files: Mapping[str, bytes], model: GradebookModel) -> dict[str, Decimal | None]:
    by_user = {one.ids["lti"]: one.learner_id for one in model.learners}
    found: dict[str, Decimal | None] = dict.fromkeys(by_user.values())
    for line in files["scores.jsonl"].splitlines():
        payload = json.loads(line, parse_float=Decimal)
        assert set(payload) >= {"userId", "activityProgress", "gradingProgress", "timestamp"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payload["timestamp"])
        graded = payload["gradingProgress"] == "FullyGraded"
        assert graded == ("scoreGiven" in payload) == ("scoreMaximum" in payload)
        assert graded or payload["gradingProgress"] == "PendingManual"
        found[by_user[payload["userId"]]] = Decimal(str(payload["scoreGiven"])) if graded else None
    return found


READERS: dict[str, Read] = {
    "csv": _csv,
    "csv-criteria": _criteria,
    "canvas": _canvas,
    "moodle-worksheet": _moodle_worksheet,
    "moodle-gradebook": _moodle_gradebook,
    "gradescope": _gradescope,
    "prairielearn": _prairielearn,
    "nbgrader": _nbgrader,
    "junit": _junit,
    "parquet": _parquet,
    "lti": _lti,
}
"""A reader for each format."""
