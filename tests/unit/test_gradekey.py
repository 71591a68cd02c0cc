"""What a grade depends on: a key changes with that, and with nothing else."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import graders
from graders import gradekey
from graders.closure import Closure, closure_of, modules_below
from graders.clusters.registry import MODULES
from graders.course import Lab, load_course
from graders.gradekey import GradeKey, grade_key
from graders.paths import COURSE

ROOT = Path(graders.__file__).parent


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


def key(lab: Lab, submission: str = "sha256:1", provider: str = "embedded", *asked: str) -> GradeKey:
    return grade_key(lab, lab.rubric, submission, provider, asked)


def recorded(provider: str = "embedded") -> Closure:
    return closure_of(("graders.recording", "graders.lab1.scenario", MODULES[provider]))


def changed(before: GradeKey, after: GradeKey) -> set[str]:
    return {name for name in ("record", "judge", "score") if getattr(before, name) != getattr(after, name)}


def test_the_same_has_the_same_key(lab: Lab) -> None:
    assert key(lab) == key(lab)


def test_what_was_handed_in_where_and_what_was_asked_change_the_record(lab: Lab) -> None:
    assert changed(key(lab), key(lab, "sha256:2")) == {"record"}
    assert changed(key(lab), key(lab, "sha256:1", "kind")) == {"record"}
    assert changed(key(lab), key(lab, "sha256:1", "embedded", "scaling")) == {"record"}


def test_a_rubric_changes_the_score_alone(lab: Lab) -> None:
    other = dataclasses.replace(lab.rubric, sha256="other")
    assert changed(key(lab), grade_key(lab, other, "sha256:1", "embedded")) == {"score"}


def test_a_lock_changes_the_record_and_how_it_is_judged(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(lab)
    monkeypatch.setattr(gradekey, "LOCK", ROOT.parent / "pyproject.toml")
    assert changed(before, key(lab)) == {"record", "judge"}


@pytest.mark.parametrize(
    ("name", "part_of_it"), [("lab.yaml", True), ("README.md", False), ("starter", False)]
)
def test_of_a_lab_its_texts_and_starter_do_not_act(
    lab: Lab, tmp_path: Path, name: str, part_of_it: bool
) -> None:
    assert gradekey._acts(lab.folder / name) is part_of_it


def test_how_a_report_looks_is_part_of_no_record_and_no_judging() -> None:
    judged = closure_of(("graders.judgement", *modules_below("graders.lab1.checks")))
    for closure in (recorded(), judged):
        assert not [file for file in closure.files if file.is_relative_to(ROOT / "reports")]
        assert not [file for file in closure.files if file.is_relative_to(ROOT / "cli")]


def test_a_record_depends_on_no_check_and_no_points() -> None:
    rooms = ("graders.judging", "graders.judgement", "graders.scoring", "graders.lab1.checks.")
    assert not [module for module in recorded().modules if module.startswith(rooms)]


def test_judging_depends_on_nothing_that_lives() -> None:
    judged = closure_of(("graders.judgement", *modules_below("graders.lab1.checks")))
    rooms = ("graders.clusters", "graders.sandbox", "graders.faultproxy", "graders.lab1.tracks")
    assert not [module for module in judged.modules if module.startswith(rooms)]


@pytest.mark.parametrize(
    "file",
    [
        "sandbox/launcher.py",  # run as a file, imported by nobody
        "sandbox/learner-requirements.txt",
        "clusters/controlplane/go.sum",
        "clusters/config/audit-policy.yaml",
        "lab1/tracks/crashes.py",
        "__init__.py",
    ],
)
def test_what_is_run_or_read_without_an_import_counts(file: str) -> None:
    assert ROOT / file in recorded().files


def test_a_provider_depends_on_no_other() -> None:
    assert not [module for module in recorded().modules if module.startswith("graders.clusters.kind.")]
    assert "graders.clusters.embedded" not in recorded("kind").modules


def test_left_out_is_only_what_nothing_else_needs() -> None:
    whole, part = (
        closure_of(("graders.judgement",)),
        closure_of(("graders.judgement",), without=("graders.scoring",)),
    )
    assert "graders.scoring" in whole.modules
    assert "graders.scoring" not in part.modules
    assert "graders.faults" in part.modules


def test_a_root_that_is_no_module_is_told() -> None:
    with pytest.raises(ValueError, match=r"no modules of graders: graders\.nothing"):
        closure_of(("graders.nothing",))


KEY_OF_AN_ESSAY = """
from graders.course import load_course
from graders.gradekey import grade_key
lab = load_course().find_lab("essay")
print(grade_key(lab, lab.rubric, "sha256:1", "embedded"))
"""


def test_a_course_has_the_same_keys_wherever_it_lies(tmp_path: Path) -> None:
    """Within a checkout, as in a grader's image beside it."""
    within, elsewhere = ROOT.parent / "tests" / "tinycourse", tmp_path / "course"
    for part in ("graders", "labs", "rubrics"):
        shutil.copytree(within / part, elsewhere / part)
    within_key, elsewhere_key = (
        subprocess.run(
            [sys.executable, "-c", KEY_OF_AN_ESSAY],
            env={**os.environ, "PYTHONPATH": str(ROOT.parent), COURSE: str(course)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for course in (within, elsewhere)
    )
    assert within_key
    assert within_key == elsewhere_key
