"""`kubeproof export` and `kubeproof site` over a store: what a batch kept is what other systems get."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graders.cli import app
from graders.cli.classbook import gradebook_of
from graders.cohort.policy import CoursePolicy, LabPolicy
from graders.cohort.roster import Learner, Roster
from graders.faults import UsageError
from graders.gradebook.model import GradeState
from graders.paths import REPOSITORY
from graders.store import open_store
from tests.conformance.gradebook_readers import rows_of
from tests.unit.store_grades import grade

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
NAMES = ("ada", "bob", "cyd", "dan", "eve", "fay")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Graded, late by hand, ungraded, rejected, excused and missing."""
    monkeypatch.chdir(tmp_path)
    people = tuple(
        Learner(
            name,
            f"{name.title()} O'Hara",
            f"{name}@example.org",
            ids={"canvas": str(100 + i), "lti": f"sub-{name}"},
            excused=frozenset({"lab1"} if name == "eve" else ()),
        )
        for i, name in enumerate(NAMES)
    )
    with open_store(tmp_path / "class.db") as opened:
        opened.enrol(Roster(people))
        opened.adopt(CoursePolicy(labs={"lab1": LabPolicy(canvas=4711)}))
        opened.save(grade("ada", submitted_at=AT))
        opened.save(grade("bob", submitted_at=AT))
        opened.save(grade("cyd", "ungraded", submitted_at=AT))
        opened.save(grade("dan", "rejected", submitted_at=AT))
        opened.override(
            "bob", "lab1", Decimal("9.10"), possible=Decimal("15.85"), author="kim", reason="=seen"
        )
    return tmp_path / "class.db"


def kubeproof(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def lines(command: Sequence[str | Path], file: str) -> dict[str, dict[str, str]]:
    kubeproof(*command)
    return {row["learner_id"]: row for row in rows_of(Path(file).read_bytes())}


def test_every_state_arrives(store: Path) -> None:
    rows = lines(["export", store, "--format", "csv"], "out/gradebook/csv.csv")

    assert {name: (row["state"], row["points"], row["possible"]) for name, row in rows.items()} == {
        "ada": ("graded", "8.85", "15.85"),
        "bob": ("graded", "9.10", "15.85"),
        "cyd": ("ungraded", "", "15.85"),
        "dan": ("rejected", "", "15.85"),
        "eve": ("excused", "", "15.85"),
        "fay": ("missing", "", "15.85"),
    }
    assert rows["bob"]["override_points"] == "0.25"
    assert "by kim: =seen" in rows["bob"]["adjustments"]
    assert "operator.comand" in rows["dan"]["problem"]


def test_whoever_is_excused_has_no_problem_of_a_grading(store: Path) -> None:
    with open_store(store, create=False) as opened:
        opened.save(grade("eve", "ungraded", submitted_at=AT))

    rows = lines(["export", store, "--format", "csv"], "out/gradebook/csv.csv")

    assert (rows["eve"]["state"], rows["eve"]["problem"]) == ("excused", "excused, by the roster")


def test_canvas_finds_assignment_and_learners(store: Path) -> None:
    kubeproof("export", store, "--format", "canvas", "--out", "canvas.csv")

    maxima, *rows = rows_of(Path("canvas.csv").read_bytes())
    title = "An operator for ML training jobs (4711)"
    assert maxima[title] == "15.85"
    assert [(row["ID"], row["Student"], row[title]) for row in rows][:3] == [
        ("100", "O'Hara, Ada", "8.85"),
        ("101", "O'Hara, Bob", "9.10"),
        ("102", "O'Hara, Cyd", ""),
    ]


def test_a_grade_that_somebody_decided_is_newer_than_the_grading(store: Path) -> None:
    book = gradebook_of(str(store))
    with open_store(store, create=False) as opened:
        (decided,) = opened.overrides()

    found = next(one for one in book.grades if one.learner_id == "bob")

    assert found.graded_at == decided.at
    assert {one.learner_id for one in book.grades if one.state is GradeState.GRADED} == {"ada", "bob"}


def test_lti_payloads_are_those_of_the_roster(store: Path) -> None:
    kubeproof("export", store, "--format", "lti", "--out", "scores.jsonl")

    payloads = [json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()]
    assert [(one["userId"], one.get("scoreGiven")) for one in payloads] == [
        ("sub-ada", 8.85),
        ("sub-bob", 9.1),
        ("sub-cyd", None),
        ("sub-dan", None),
    ]


def test_a_lab_without_a_grade_has_the_points_of_its_rubric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_COURSE", str(REPOSITORY / "tests" / "tinycourse"))
    with open_store(tmp_path / "class.db") as opened:
        opened.enrol(Roster((Learner("ada"),)))
        opened.adopt(CoursePolicy(labs={"essay": LabPolicy()}))

    assert [lab.possible for lab in gradebook_of(str(tmp_path / "class.db")).labs] == [Decimal(2)]


def test_who_cannot_be_matched_is_told_by_the_roster_s_column(store: Path) -> None:
    with open_store(store, create=False) as opened:
        opened.enrol(Roster((Learner("ada"), Learner("bob"))))

    with pytest.raises(UsageError, match=r"learner\(s\) have no Canvas id.*\n.*fill in id:canvas"):
        kubeproof("export", store, "--format", "canvas")
    assert not Path("out").exists()


def test_a_store_that_is_not_there_is_named(store: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.db"):
        CliRunner().invoke(app, ["export", "gone.db", "--format", "csv"], catch_exceptions=False)
    assert not Path("out").exists()


def test_the_site_is_made_from_it(store: Path) -> None:
    told = kubeproof("site", store, "--out", "pages")

    assert "pages/index.html" in told
    page = Path("pages/learners/bob.html").read_text()
    assert "override: +0.25 points" in page
    assert "Not graded:</strong>" in Path("pages/lab1/index.html").read_text()
