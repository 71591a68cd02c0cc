"""`kubeproof export`: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer
from typer.testing import CliRunner

from graders.cli.export import export_command
from graders.faults import LocatedError, UsageError
from graders.gradebook.model import GradebookModel
from tests.unit.synthetic_class import small_class

WORKSHEET = Path(__file__).parents[1] / "conformance" / "gradebooks" / "moodle-downloaded.csv"


def run(arguments: Sequence[str], model: GradebookModel | None = None) -> str:
    """What it prints; raises what it raises."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(export_command(lambda store: model or small_class()))
    result = CliRunner().invoke(app, ["class.db", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(arguments: Sequence[str], model: GradebookModel | None = None) -> LocatedError:
    with pytest.raises(UsageError) as error:
        run(arguments, model)
    assert list(Path().iterdir()) == []
    assert error.value.fix
    return error.value


def test_it_says_where_and_how_many() -> None:
    told = run(["--format", "csv"])

    assert "wrote out/gradebook/csv.csv: 6 graded, 1 ungraded, 1 excused, 1 rejected, 1 missing" in told
    assert Path("out/gradebook/csv.csv").is_file()


def test_formats_of_many_files_make_a_folder() -> None:
    assert "wrote 8 files in results" in run(["--format", "gradescope", "--out", "results"])
    assert Path("results/lab1/ada/results.json").is_file()


def test_who_is_left_out_is_named() -> None:
    told = run(["--format", "lti"])

    assert "lab1: no grade, because excused: excused" in told
    assert "lab1: no grade, because missing: missing" in told


def test_who_has_an_empty_cell_is_named_too() -> None:
    told = run(["--format", "canvas"])

    for state in ("ungraded", "missing", "rejected"):
        assert f"lab1: no grade, because {state}: {state}" in told


def test_help_teaches_every_format() -> None:
    told = run(["--help"])

    for part in ("canvas:", "Grades > Import", "moodle-worksheet", "--worksheet", "never written as a zero"):
        assert part in told


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    assert "choose from csv, csv-criteria, canvas" in refused(["--format", "excel"]).fix


def test_an_unknown_lab_is_refused_with_those_there_are() -> None:
    assert "one of: lab1" in refused(["--format", "csv", "--lab", "lab9"]).fix


def test_who_cannot_be_matched_stops_the_export() -> None:
    model = small_class()
    learners = tuple(
        dataclasses.replace(one, ids={}) if one.learner_id in ("ada", "zero") else one
        for one in model.learners
    )

    problem = refused(["--format", "canvas"], dataclasses.replace(model, learners=learners)).problem

    assert problem.startswith("2 learner(s) have no Canvas id")
    assert problem.endswith(": ada, zero")


def test_two_learners_with_one_id_are_both_named() -> None:
    model = small_class()
    learners = tuple(
        dataclasses.replace(one, ids={**one.ids, "lti": "same"}) if one.learner_id in ("ada", "zero") else one
        for one in model.learners
    )

    assert "share their LTI user id with somebody: ada, zero" in (
        refused(["--format", "lti"], dataclasses.replace(model, learners=learners)).problem
    )


def test_canvas_would_take_such_a_title_for_its_own() -> None:
    model = small_class()
    labs = (dataclasses.replace(model.labs[0], title="The Final Score lab"),)

    assert "keeps such columns for itself" in (
        refused(["--format", "canvas"], dataclasses.replace(model, labs=labs)).problem
    )


@pytest.mark.parametrize("sis", ["1,234", "1.234", "12.5%"])
def test_canvas_would_read_such_an_id_as_a_number(sis: str) -> None:
    model = small_class()
    first = dataclasses.replace(model.learners[0], ids={"canvas": "1", "sis_user": sis})

    assert "would read as a decimal number: ada" in (
        refused(
            ["--format", "canvas"], dataclasses.replace(model, learners=(first, *model.learners[1:]))
        ).problem
    )


def test_grades_out_of_other_points_stop_canvas() -> None:
    model = small_class()
    labs = (dataclasses.replace(model.labs[0], possible=model.labs[0].possible + 1),)

    assert "rescore" in refused(["--format", "canvas"], dataclasses.replace(model, labs=labs)).fix


class TestMoodlesWorksheet:
    """It is filled, row for row, or refused with file and line."""

    def refused(self, text: str | bytes, *more: str) -> LocatedError:
        file = Path("..") / f"{Path.cwd().name}-sheet.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            return refused(["--format", "moodle-worksheet", "--worksheet", str(file), *more])
        finally:
            file.unlink()

    def test_it_is_needed(self) -> None:
        assert "--worksheet FILE" in refused(["--format", "moodle-worksheet"]).fix

    def test_it_must_be_there(self) -> None:
        error = refused(["--format", "moodle-worksheet", "--worksheet", "gone.csv"])
        assert "cannot be read" in error.problem
        assert error.file == "gone.csv"

    def test_headers_of_another_language_are_named_by_the_caller(self) -> None:
        german = WORKSHEET.read_text("utf-8-sig").replace("Grade,", "Bewertung,", 1)
        error = self.refused(german)
        assert error.line == 1
        assert "no column 'Grade'; there are: Identifier" in error.problem
        Path("german.csv").write_text(german)

        run(["--format", "moodle-worksheet", "--worksheet", "german.csv", "--column", "grade=Bewertung"])

        assert b"Bewertung" in Path("out/gradebook/moodle-worksheet.csv").read_bytes()

    def test_a_short_row_has_its_line_named(self) -> None:
        lines = WORKSHEET.read_text("utf-8-sig").splitlines()
        lines[1] = lines[1].replace("Ada Q", '"Ada\nQ"')
        lines[3] = "Participant 503,Zero"
        error = self.refused("\n".join(lines))
        assert (error.line, error.problem) == (5, "this row has 2 cells, and the header has 10")

    def test_a_maximum_that_differs_stops_it(self) -> None:
        error = self.refused(WORKSHEET.read_text("utf-8-sig").replace("15.85", "100.00"))
        assert error.line == 2
        assert "out of 15.85 points, and Moodle's maximum is 100.00" in error.problem
        assert "maximum grade to 15.85" in error.fix

    def test_who_is_not_in_it_is_named(self) -> None:
        lines = WORKSHEET.read_text("utf-8-sig").splitlines(keepends=True)
        error = self.refused("".join([*lines[:2], *lines[4:]]))
        assert "2 learner(s) are not in" in error.problem
        assert error.problem.endswith(": late, zero")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (b"\xff\xfe", "not UTF-8"),
            (b'Identifier,"x', "no CSV"),
            (b"Identifier,Grade\n", "no learner in it"),
        ],
    )
    def test_what_is_no_worksheet_is_refused(self, text: bytes, problem: str) -> None:
        error = self.refused(text)
        assert problem in error.problem
        assert "Download grading worksheet" in error.fix

    def test_a_column_without_header_is_refused(self) -> None:
        error = refused(["--format", "moodle-worksheet", "--worksheet", str(WORKSHEET), "--column", "grade"])
        assert "NAME=HEADER" in error.fix

    def test_an_unknown_column_is_refused(self) -> None:
        error = refused(["--format", "moodle-worksheet", "--worksheet", str(WORKSHEET), "--column", "x=y"])
        assert "choose from identifier" in error.fix

    def test_rows_of_others_are_left_as_they_are(self) -> None:
        before = WORKSHEET.read_bytes().replace(b"Ada Q", b'"Q, Ada"')
        stranger = b"Participant 999,Somebody,some@example.org,x,7.00,15.85,Yes,a,b,kept\n"
        Path("sheet.csv").write_bytes(before + stranger)

        run(["--format", "moodle-worksheet", "--worksheet", "sheet.csv"])

        assert stranger.strip() in Path("out/gradebook/moodle-worksheet.csv").read_bytes()


def test_a_store_is_never_replaced() -> None:
    with contextlib.closing(sqlite3.connect("class.db")) as store:
        store.execute("create table grades (points text)")
        store.commit()
    before = Path("class.db").read_bytes()

    with pytest.raises(
        UsageError, match=r"class\.db: this is a store of grades, and stays\n  fix: name another"
    ):
        run(["--format", "canvas", "--out", "class.db"])

    assert Path("class.db").read_bytes() == before


def test_what_is_no_file_is_written_to_and_stays() -> None:
    os.mkfifo("pipe")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(Path("pipe").read_bytes)
        run(["--format", "csv", "--out", "pipe"])
        assert read.result(10.0).startswith(b"learner_id,")

    assert Path("pipe").is_fifo()


def test_a_score_is_as_new_as_its_export() -> None:
    """An extension changes points without a new grade, and a platform takes no older score."""
    began = datetime.now(UTC)
    run(["--format", "lti", "--out", "scores"])

    for line in Path("scores").read_text().splitlines():
        assert datetime.fromisoformat(json.loads(line)["timestamp"]) >= began.replace(microsecond=0)


def test_nbgrader_gets_both_times_in_its_own_zone() -> None:
    model = small_class()
    here = ZoneInfo("Europe/Berlin")
    labs = tuple(
        dataclasses.replace(lab, due_at=lab.due_at and lab.due_at.astimezone(here)) for lab in model.labs
    )
    run(["--format", "nbgrader", "--out", "utc"], model)
    run(["--format", "nbgrader", "--out", "berlin"], dataclasses.replace(model, labs=labs))

    assert Path("utc").read_text() == Path("berlin").read_text()
