"""What every gradebook format keeps to: a new one is in here as soon as it is registered."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
from pathlib import Path

import pytest

from graders.faults import InfraFault, UsageError
from graders.gradebook.cells import runs
from graders.gradebook.exporter import Exported, ExportOptions, GradeExporter
from graders.gradebook.model import GradebookModel, GradeState
from graders.gradebook.registry import FORMATS, export, write_export
from tests.conformance.gradebook_readers import READERS
from tests.unit.synthetic_class import CRITERIA, EXPECTED, graded, learner, small_class

GOLDEN = Path(__file__).parent / "gradebooks"
WORKSHEET = GOLDEN / "moodle-downloaded.csv"
pytestmark = pytest.mark.parametrize("exporter", FORMATS.values(), ids=FORMATS)


def rendered(exporter: GradeExporter, model: GradebookModel | None = None) -> Exported:
    if exporter.name == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is the extra `parquet`")
    return export(model or small_class(), exporter.name, ExportOptions(WORKSHEET))


def test_its_system_reads_every_grade_back_and_none_where_there_is_none(exporter: GradeExporter) -> None:
    model = small_class()

    read = READERS[exporter.name](rendered(exporter, model).files, model)

    if exporter.name == "prairielearn":
        read = {name: None if points is None else round(points, 9) for name, points in read.items()}
    assert read == EXPECTED


def test_it_renders_the_same_twice(exporter: GradeExporter) -> None:
    assert rendered(exporter) == rendered(exporter)


def test_it_renders_what_is_kept_as_golden(exporter: GradeExporter, tmp_path: Path) -> None:
    """`REGOLD=1` keeps what is rendered now; look at the difference before committing it."""
    if exporter.name == "parquet":
        pytest.skip("pyarrow writes its own version into the file")
    exported = rendered(exporter)
    kept = GOLDEN / exporter.name
    if os.environ.get("REGOLD"):
        for name, content in exported.files.items():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (kept / name).write_bytes(content)
    assert exported.files == {
        str(file.relative_to(kept)): file.read_bytes() for file in kept.rglob("*") if file.is_file()
    }


def test_a_spreadsheet_finds_nothing_to_run(exporter: GradeExporter) -> None:
    for name, content in rendered(exporter).files.items():
        if not name.endswith(".csv"):
            continue
        for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True):
            risky = [cell for cell in row if runs(cell) and not re.fullmatch(r"-\d+(\.\d+)?", cell)]
            assert risky == []


def test_points_keep_their_digits(exporter: GradeExporter) -> None:
    """No separators, no exponents, no rounding, and none of the digits that floats have."""
    text = b"".join(rendered(exporter).files.values())

    if exporter.name not in ("parquet", "csv-criteria", "prairielearn"):
        assert re.search(rb"\b8\.35(0)?\b", text)
    if exporter.name not in ("parquet", "prairielearn"):  # A share from 0 to 1 is no number of ours.
        assert re.search(rb"\d[eE][+-]?\d|\d{4,}\.\d|\.\d{17}", text.replace(b"M000", b"")) is None


def test_it_names_who_has_no_grade_or_has_a_row_for_them(exporter: GradeExporter) -> None:
    exported = rendered(exporter)
    told = b"".join(exported.files.values()).decode("utf-8", "replace") + "\n".join(exported.notes)
    told += "\n".join(exported.files)
    sheet = exporter.name == "moodle-worksheet"

    for name in ("ungraded", "excused", "missing", "rejected"):
        ids = next(one.ids for one in small_class().learners if one.learner_id == name)
        assert name in told or ids["lti"] in told or (sheet and ids["moodle"] in told)


def test_everybody_who_cannot_be_matched_is_named_at_once(exporter: GradeExporter) -> None:
    model = small_class()
    lost = {"late", "missing"}
    learners = tuple(
        dataclasses.replace(
            one,
            learner_id=one.learner_id if one.learner_id not in lost else f"/{one.learner_id}",
            ids={},
            email="",
        )
        if one.learner_id in lost
        else one
        for one in model.learners
    )
    grades = tuple(
        dataclasses.replace(one, learner_id=f"/{one.learner_id}") if one.learner_id in lost else one
        for one in model.grades
    )
    changed = dataclasses.replace(model, learners=learners, grades=grades)
    if exporter.name in ("csv", "csv-criteria", "nbgrader", "junit", "parquet"):
        # They need no id but our own, which everybody has.
        assert len(READERS[exporter.name](rendered(exporter, changed).files, changed)) == len(learners)
        return

    with pytest.raises(UsageError) as refused:
        rendered(exporter, changed)

    assert refused.value.problem.startswith("2 learner(s)")
    assert "/late" in refused.value.problem
    assert "/missing" in refused.value.problem
    assert refused.value.fix


def test_an_id_that_a_spreadsheet_would_run_is_refused_and_not_changed(exporter: GradeExporter) -> None:
    bad = learner("eve", 1)
    bad = dataclasses.replace(
        bad, learner_id="=eve", email="=e@x", ids=dict.fromkeys(bad.ids, "=1") | {"canvas": "1"}
    )
    model = GradebookModel("c", small_class().labs, (bad,), (graded("=eve"),))
    if exporter.name in ("junit", "parquet"):
        assert b"=eve" in b"".join(rendered(exporter, model).files.values())
        return  # No spreadsheet opens them as text.

    with pytest.raises(UsageError, match="=eve"):
        rendered(exporter, model)


def test_what_is_written_is_what_was_rendered(exporter: GradeExporter, tmp_path: Path) -> None:
    exported, out = rendered(exporter), tmp_path / "new" / "out"

    for _ in range(2):  # An earlier export is replaced.
        written = write_export(exported, exporter.name, out)

    assert [path.read_bytes() for path in written] == list(exported.files.values())
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_disk_that_fills_leaves_the_earlier_export(
    exporter: GradeExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, out = rendered(exporter), tmp_path / "out"
    write_export(exported, exporter.name, out)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    full = dataclasses.replace(exported, files=dict.fromkeys(exported.files, b"x" * 2**21))
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(InfraFault, match="this machine failed"):
            write_export(full, exporter.name, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_a_folder_of_somebody_else_is_left_alone(exporter: GradeExporter, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")

    with pytest.raises(UsageError, match="--out"):
        write_export(rendered(exporter), exporter.name, tmp_path / "out")

    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_ungraded_class_has_no_number_that_could_be_a_grade(exporter: GradeExporter) -> None:
    model = small_class()
    nothing = tuple(
        dataclasses.replace(
            one,
            state=GradeState.UNGRADED,
            points=None,
            adjustments=(),
            criteria=tuple(dataclasses.replace(each, earned=None) for each in CRITERIA),
        )
        for one in model.grades
    )
    model = dataclasses.replace(model, grades=nothing)

    read = READERS[exporter.name](rendered(exporter, model).files, model)

    assert set(read.values()) == {None}
    assert len(read) == len(model.learners)


def test_a_format_of_one_lab_asks_for_it(exporter: GradeExporter) -> None:
    model = small_class()
    second = dataclasses.replace(model.labs[0], lab="lab2", title="Second", canvas_id="4712")
    both = dataclasses.replace(
        model,
        labs=(*model.labs, second),
        grades=(*model.grades, *(dataclasses.replace(one, lab="lab2") for one in model.grades)),
    )
    if not exporter.one_lab:
        assert rendered(exporter, both).files
        return

    with pytest.raises(UsageError, match=r"holds one lab.*\n.*--lab and one of: lab1, lab2"):
        rendered(exporter, both)


def test_its_help_says_for_whom_it_is(exporter: GradeExporter) -> None:
    assert re.fullmatch(r"[a-z-]+", exporter.name)
    assert 20 < len(exporter.about) < 100
