"""Cells: no text of anybody runs in a spreadsheet, points are exact, and a table is read back as it was."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.gradebook.cells import RISKY, points_cell, runs, table, text_cell
from graders.gradebook.model import GradebookModel, GradeState, LabGrade
from graders.gradebook.moodle_worksheet import as_html
from tests.unit.synthetic_class import LAB, graded, learner, small_class, without

RISKY_TEXT = st.one_of(
    st.text(), st.builds(str.__add__, st.sampled_from([*RISKY, " =", "\x00=", "\u200b@"]), st.text())
)


@given(RISKY_TEXT, st.booleans())
def test_no_text_runs(text: str, lines: bool) -> None:
    assert not runs(text_cell(text, lines=lines))
    assert not runs(as_html(text))


@given(st.text())
def test_feedback_reads_the_same_in_html(text: str) -> None:
    shown = html.unescape(as_html(text).replace("<br />", "\n"))

    assert shown == text.strip()
    assert re.findall("<(?!br />)", as_html(text)) == []


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-10000, max_value=10000, places=6))
def test_points_are_exact_and_plain(points: Decimal) -> None:
    cell = points_cell(points)

    assert Decimal(cell).as_tuple() == points.as_tuple()
    assert re.fullmatch(r"-?\d+(\.\d+)?", cell)


@pytest.mark.parametrize(
    ("points", "cell"), [("1E+2", "100"), ("0E-7", "0.0000000"), ("8.50", "8.50"), ("-0", "-0")]
)
def test_points_keep_the_digits_they_have(points: str, cell: str) -> None:
    assert points_cell(Decimal(points)) == cell


@given(st.lists(st.lists(RISKY_TEXT.map(text_cell), min_size=2, max_size=2), min_size=1))
def test_a_table_is_read_back_as_it_was(rows: list[list[str]]) -> None:
    assert list(csv.reader(io.StringIO(table(rows).decode(), newline=""), strict=True)) == rows


class TestModel:
    """A gradebook that contradicts itself is never made."""

    def test_points_belong_to_a_grade_and_to_nothing_else(self) -> None:
        with pytest.raises(ValueError, match="ada, lab1: ungraded with 0 points"):
            LabGrade("ada", "lab1", GradeState.UNGRADED, Decimal(0), Decimal(10))
        with pytest.raises(ValueError, match="ada, lab1: graded with None points"):
            LabGrade("ada", "lab1", GradeState.GRADED)
        with pytest.raises(ValueError, match="are no points"):
            graded("ada", "NaN")

    @pytest.mark.parametrize("names", [("ada",), ("ada", "bob", "bob"), ("ada", "bob", "eve")])
    def test_everybody_has_one_grade_for_each_lab(self, names: tuple[str, ...]) -> None:
        grades = tuple(without(name, GradeState.MISSING) for name in names)
        with pytest.raises(ValueError, match="not exactly one grade"):
            GradebookModel("c", (LAB,), (learner("ada", 1), learner("bob", 2)), grades)

    def test_nobody_is_there_twice(self) -> None:
        model = small_class()
        with pytest.raises(ValueError, match="learner 'ada' is there twice"):
            dataclasses.replace(model, learners=(*model.learners, model.learners[0]))
