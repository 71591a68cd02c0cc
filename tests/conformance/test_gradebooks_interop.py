"""Gradebooks read back by other systems' own code, where the extra `interop` is installed.

Their trees are large, so they are in no lock: `make test-interop` has a virtual environment of its own for
this.
"""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest

from graders.gradebook.exporter import ExportOptions
from graders.gradebook.model import AdjustmentKind, GradebookModel, GradeState
from graders.gradebook.registry import export
from tests.conformance.gradebook_readers import rows_of
from tests.unit.synthetic_class import EXPECTED, large_class, small_class

WHY = "is in the extra `interop`: make test-interop"


def one_file(model: GradebookModel, name: str) -> bytes:
    (content,) = export(model, name, ExportOptions()).files.values()
    return content


@pytest.mark.parametrize("model", [small_class(), large_class(60)], ids=["small", "large"])
class TestPandas:
    """It sees a missing value, never a zero, where there is no grade."""

    def test_it_reads_csv(self, model: GradebookModel) -> None:
        pandas = pytest.importorskip("pandas", reason=f"pandas {WHY}")
        frame = pandas.read_csv(io.BytesIO(one_file(model, "csv")), dtype={"learner_id": str})

        points = {one.learner_id: one.points for one in model.grades}
        assert set(frame["learner_id"]) == set(points)
        for row in frame.itertuples():
            want = points[row.learner_id]
            assert pandas.isna(row.points) if want is None else row.points == float(want)
        assert frame["points"].dtype == "float64", "every cell is a number or empty"

    def test_it_reads_parquet_as_exact_decimals(self, model: GradebookModel) -> None:
        pandas = pytest.importorskip("pandas", reason=f"pandas {WHY}")
        pytest.importorskip("pyarrow", reason=f"pyarrow {WHY}")
        frame = pandas.read_parquet(io.BytesIO(one_file(model, "parquet")))

        read = dict(zip(frame["learner_id"], frame["points"], strict=True))
        want = {one.learner_id: one.points for one in model.grades}
        assert {name: None if pandas.isna(each) else each for name, each in read.items()} == want

    def test_it_reads_canvas(self, model: GradebookModel) -> None:
        pandas = pytest.importorskip("pandas", reason=f"pandas {WHY}")
        frame = pandas.read_csv(io.BytesIO(one_file(model, "canvas")), dtype=str, keep_default_na=False)

        assert list(frame.columns[:6]) == [
            "Student", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Section",
        ]  # fmt: skip
        read = dict(zip(frame["SIS Login ID"][1:], frame[frame.columns[-1]][1:], strict=True))
        for one in model.grades:
            cell = read[one.learner_id]
            assert (Decimal(cell) if cell not in ("", "EX") else None) == one.points


@pytest.mark.filterwarnings("default")
def test_nbgrader_writes_the_same_table(tmp_path: Path) -> None:
    """A gradebook of nbgrader's own, with these grades, exported by nbgrader itself."""
    api = pytest.importorskip("nbgrader.api", reason=f"nbgrader {WHY}")
    plugins = pytest.importorskip("nbgrader.plugins.export", reason=f"nbgrader {WHY}")
    model = small_class()
    (lab,) = model.labs
    told = {"ada", "late", "zero", "full"}  # Those whose names nbgrader, which does not quote, can write.
    book = api.Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", "mod-201")
    book.add_assignment("lab1", duedate=lab.due_at.replace(tzinfo=None))
    book.add_notebook("all", "lab1")
    book.add_grade_cell("points", "all", "lab1", max_score=float(lab.possible), cell_type="code")
    for learner in model.learners:
        grade = model.grade(learner, lab)
        if learner.learner_id not in told or grade.state is not GradeState.GRADED:
            continue
        book.add_student(
            learner.learner_id,
            first_name=learner.first_name.split()[0],
            last_name=learner.last_name.split(",")[0],
            email=learner.email,
        )
        book.add_submission("lab1", learner.learner_id)
        submission = book.find_submission("lab1", learner.learner_id)
        submission.timestamp = grade.submitted_at.replace(tzinfo=None) if grade.submitted_at else None
        (notebook,) = submission.notebooks
        penalty = -grade.changed_by(AdjustmentKind.LATE)
        notebook.late_submission_penalty = float(penalty)
        assert grade.points is not None
        book.find_grade("points", "all", "lab1", learner.learner_id).manual_score = float(
            grade.points + penalty
        )
    book.db.commit()
    theirs = tmp_path / "theirs.csv"
    plugins.CsvExportPlugin(to=str(theirs)).export(book)
    book.close()

    expected = {row["student_id"]: row for row in rows_of(theirs.read_bytes())}
    ours = {row["student_id"]: row for row in rows_of(one_file(model, "nbgrader"))}
    assert set(expected) == told
    for name, row in expected.items():
        assert list(ours[name]) == list(row)
        for column in ("assignment", "duedate", "timestamp", "student_id", "email"):
            assert ours[name][column] == row[column], column
        for column in ("raw_score", "late_submission_penalty", "score", "max_score"):
            assert float(ours[name][column]) == pytest.approx(float(row[column])), column
    assert {name: row["score"] == "" for name, row in ours.items()} == {
        name: points is None for name, points in EXPECTED.items()
    }
