"""`annotations.json` and `autograding.json`: which lines are named, and that two sums agree."""

from __future__ import annotations

import base64
import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import ToolRun
from graders.model import Criterion, CriterionScore, Fault, GradeReport, Outcome, Score, Status, Verdict
from graders.reports.annotations import MOST, AnnotationsExporter, annotations_of
from graders.reports.autograding import LIMIT, SCHEMA_FILE, AutogradingExporter
from graders.reports.places import places_in
from tests.unit.synthetic_bundle import make_manifest
from tests.unit.synthetic_report import graded, rejected, ungraded


def sums(document: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """The two numbers that the reporter makes of it: the sum in its notice, and the one in its table."""
    tests = document["tests"]
    passed = sum(1 for test in tests if test["status"] == "pass")
    table = Decimal(passed) / len(tests) * document["max_score"]
    return Decimal(sum(test["score"] for test in tests)), table


def scored(points: list[tuple[str, bool]], text: str = "it did not") -> GradeReport:
    """A report with a criterion for each number of points, and whether it was earned."""
    criteria, outcomes = [], []
    for at, (worth, earned) in enumerate(points):
        status = Status.PASSED if earned else Status.FAILED
        criterion = Criterion(f"c{at}", f"Criterion {at}", "all", Decimal(worth), (f"c{at}",))
        criteria.append(CriterionScore(criterion, Decimal(worth), Decimal(worth if earned else "0"), status))
        told = "" if earned else text
        outcomes.append(Outcome(f"c{at}", status, f"Criterion {at}", told, told, hint=told,
                                fault=None if earned else Fault.LEARNER))  # fmt: skip
    total = sum((Decimal(worth) for worth, earned in points if earned), Decimal(0))
    possible = sum((Decimal(worth) for worth, _ in points), Decimal(0))
    score = Score(tuple(criteria), total, possible)
    return GradeReport("lab1", Verdict.GRADED, {"learner_id": "ada"}, tuple(outcomes), score, {})


def autograding(report: GradeReport) -> dict[str, Any]:
    text = AutogradingExporter().render(report, None)
    assert len(base64.b64encode(text.encode())) < LIMIT
    document: dict[str, Any] = json.loads(text)
    Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))).validate(document)
    return document


# --- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("submission.yaml:7: there is no such key", [("submission.yaml", 7, "there is no such key")]),
        ("ruff: app/main.py:12:5: F401 unused", [("app/main.py", 12, "F401 unused")]),
        ("./main.go:3:1: x / ./main.go:4:2: y", [("main.go", 3, "x"), ("main.go", 4, "y")]),
        ("Dockerfile:2: no USER", [("Dockerfile", 2, "no USER")]),
        ("main.py:12: a; main.py:12: b", [("main.py", 12, "a; main.py:12: b")]),
        ("../../etc/passwd.txt:1: x", []),
        ("/etc/hosts.txt:1: x", []),
        ("https://evil.example/a.py:12", []),
        ("at 12:30 it ran for 3.5:2", []),
        ("main.py:0: there is no such line", []),
    ],
)
def test_a_place_is_a_file_of_the_submission_with_a_line(
    text: str, places: list[tuple[str, int, str]]
) -> None:
    found = [(place.path, place.line, place.said) for place in places_in(text)]
    assert [place[:2] for place in found] == [place[:2] for place in places]
    if len(places) == 1 and "; " not in text:
        assert found == places


def test_a_text_without_end_is_read_to_a_limit() -> None:
    assert list(places_in("a" * 10_000_000 + " main.py:1: x")) == []


# --- annotations -----------------------------------------------------------------------------------


def test_a_loss_that_names_lines_is_written_beside_them() -> None:
    report = scored(
        [("5", False)], "ruff ended with 1: app/main.py:3:1: E722 bare except / app/x.py:9:2: F401"
    )
    found = annotations_of(report)
    assert [(each.level, each.path, each.line) for each in found] == [
        ("failure", "app/main.py", 3), ("failure", "app/x.py", 9),
    ]  # fmt: skip
    assert "E722 bare except" in found[0].message
    assert "Next step" in found[0].message


def test_a_loss_that_speaks_of_a_program_is_written_beside_the_lines_that_it_named(tmp_path: Path) -> None:
    printed = (
        "F401 [*] `os` imported but unused\n --> app/main.py:1:8\n  |\n1 | import os\n  |\n\n"
        "E722 Do not use bare `except`\n --> app/main.py:9:1\n  |\nFound 2 errors.\n"
    )
    writer = BundleWriter(tmp_path)
    writer.add(ToolRun(1.0, "ruff", ("ruff", "check"), 1, 0.2, printed))
    writer.add(ToolRun(1.0, "mypy", ("mypy",), 1, 0.2, "app/other.py:3: error: no type\n"))
    writer.add(ToolRun(1.0, "pytest", ("pytest",), 0, 0.2, "app/third.py:3: passed\n"))
    writer.close(make_manifest())
    report = scored([("5", False)], "ruff ended with 1: Found 2 errors.")
    found = annotations_of(report, Bundle(tmp_path))
    assert [(each.path, each.line) for each in found] == [
        ("app/main.py", 1),
        ("app/main.py", 9),
        (None, None),
    ]
    assert found[0].message == "F401 [*] `os` imported but unused"
    assert found[0].title == "Criterion 0: ruff"


def test_a_loss_without_a_line_is_told_all_the_same_and_last() -> None:
    found = annotations_of(graded())
    assert [(each.level, each.path) for each in found] == [("failure", None)]
    assert "third re-creation" in found[0].message


def test_what_is_not_graded_is_a_warning_and_no_failure_of_the_learner() -> None:
    levels = {each.level for each in annotations_of(dataclasses.replace(ungraded(), outcomes=(), score=None))}
    assert levels == {"warning"}


def test_a_rejected_submission_is_marked_at_its_line() -> None:
    (only,) = annotations_of(rejected())
    assert (only.level, only.path, only.line) == ("failure", "submission.yaml", 7)


def test_there_are_never_more_than_a_reader_shows() -> None:
    text = " / ".join(f"m{n}.py:{n}: x" for n in range(1, 40))
    assert len(annotations_of(scored([("1", False)] * 60, text))) == MOST


def test_the_document_says_its_schema() -> None:
    document = json.loads(AnnotationsExporter().render(graded(), None))
    assert document["schema"] == "kubeproof/annotations/v1"


# --- the old reporter ------------------------------------------------------------------------------


def test_a_criterion_of_four_points_is_four_tests() -> None:
    document = autograding(scored([("4", True), ("3", False)]))
    assert document["max_score"] == 7
    assert [test["status"] for test in document["tests"]] == ["pass"] * 4 + ["fail"] * 3
    assert sums(document) == (4, 4)
    assert document["tests"][4]["message"].startswith("expected: it did not")


@given(st.lists(st.tuples(st.integers(1, 20).map(str), st.booleans()), min_size=1, max_size=12))
def test_both_sums_are_the_points_where_points_are_whole(points: list[tuple[str, bool]]) -> None:
    report = scored(points)
    assert report.score is not None
    notice, table = sums(autograding(report))
    assert notice == round(table, 9) == report.score.total


@given(
    st.lists(st.tuples(st.decimals("0.01", "30", places=2).map(str), st.booleans()), min_size=1, max_size=9)
)
def test_both_sums_agree_whatever_the_points_and_never_exceed_them(points: list[tuple[str, bool]]) -> None:
    report = scored(points)
    assert report.score is not None
    document = autograding(report)
    notice, table = sums(document)
    assert notice == round(table, 9)
    assert notice / document["max_score"] <= report.score.total / report.score.possible  # type: ignore[operator]


def test_points_that_are_no_whole_numbers_become_per_cents_of_their_criteria() -> None:
    document = autograding(scored([("4.38", True), ("3.28", False), ("2.34", True)]))
    assert document["max_score"] == 100
    names = [test["name"].partition(" (")[0] for test in document["tests"]]
    assert [names.count(f"Criterion {at}") for at in range(3)] == [44, 33, 23]
    assert sums(document) == (67, 67)
    assert document["tests"][44]["message"].startswith("expected: it did not")


def test_long_texts_stay_under_what_a_variable_may_hold() -> None:
    autograding(scored([("1", False)] * 300, "é" * 450))


def test_what_is_not_graded_is_no_file() -> None:
    assert AutogradingExporter().render(ungraded(), None) == ""


def test_a_rejected_submission_is_a_zero_with_its_reason() -> None:
    document = autograding(rejected())
    assert sums(document) == (0, 0)
    assert (document["status"], document["max_score"]) == ("fail", 100)
    assert document["tests"][0]["filename"] == "submission.yaml"
    assert document["tests"][0]["line_no"] == 7
