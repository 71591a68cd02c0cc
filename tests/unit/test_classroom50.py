"""Classroom 50: the bundle grades by itself, and its result says what that format can, never a false zero."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from graders.faults import InfraFault, UsageError
from graders.github.bundling import LIMIT, write_bundle
from graders.github.classroom50 import SCHEMA_FILE, assignment_of, result_of
from graders.paths import REPOSITORY
from graders.reports.report_json import report_document
from tests.unit.action_steps import SECRETS
from tests.unit.synthetic_report import graded, rejected, ungraded

pytestmark = pytest.mark.processes

COURSE = REPOSITORY / "tests" / "tinycourse"
ESSAY = COURSE / "solutions" / "essay" / "reference"
RUNNER = {
    "CLASSROOM": "k8s-2026",
    "ASSIGNMENT": "essay",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "ada",
    "SUBMISSION_TAG": "submit/2026-10-01T12-00-00Z-abc1234",
    "COMMIT_URL": "https://github.example/course/essay-ada/commit/abc1234",
    "RELEASE_URL": "https://github.example/course/essay-ada/releases/tag/submit",
    "REVIEW_URL": "https://github.example/course/essay-ada/compare/a...b",
}
NOW = datetime(2026, 10, 1, 12, 30, 0, 999, tzinfo=UTC)


def result(report: Any, **environment: str) -> dict[str, Any]:
    assignment = assignment_of({**RUNNER, **environment}, REPOSITORY)
    return result_of(report_document(report), assignment, possible=Decimal(100), now=NOW)


# --- the result ------------------------------------------------------------------------------------


def test_points_that_are_no_whole_numbers_are_told_in_hundredths() -> None:
    found = result(graded())
    assert (found["score"], found["max-score"]) == (885, 1585)
    by_name = {each["test-name"]: each for each in found["tests"]}
    lost = by_name["Stops after backoffLimit failures"]
    assert (lost["passed"], lost["score"], lost["max-score"]) == (False, 0, 400)
    assert "third re-creation" in lost["message"]
    assert "status.restarts" in lost["message"]
    assert by_name["Runs from its own image"]["passed"] is True
    assert "One leader" not in by_name


def test_whole_points_stay_points() -> None:
    document = report_document(graded())
    document["criteria"] = [
        each | {"points": 4, "earned": 4 if each["earned"] else 0} for each in document["criteria"][:3]
    ]
    found = result_of(document, assignment_of(RUNNER, REPOSITORY), possible=Decimal(12), now=NOW)
    assert (found["score"], found["max-score"]) == (4, 12)


def test_instants_are_whole_seconds_and_the_commits_own_is_the_submissions() -> None:
    found = result(graded())
    assert found["graded_at"] == "2026-10-01T12:30:00Z"
    said = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", REPOSITORY, "log", "-1", "--format=%ct"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode == 0:
        assert found["datetime"] == datetime.fromtimestamp(int(said.stdout), UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )


def test_what_is_not_graded_has_no_result() -> None:
    with pytest.raises(
        InfraFault, match=r"not graded: the API server stopped.*\n  fix: run the grading again"
    ):
        result(ungraded())


def test_a_rejected_submission_is_nothing_of_all_with_its_reason() -> None:
    found = result(rejected())
    assert (found["score"], found["max-score"]) == (0, 100)
    assert "submission.yaml:7" in found["tests"][0]["message"]


@pytest.mark.parametrize("report", [graded, rejected])
def test_a_result_fits_the_schema_and_its_sums(report: Any) -> None:
    found = result(report())
    Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))
    Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(found)
    assert found["score"] == sum(each["score"] for each in found["tests"])
    assert found["max-score"] == sum(each["max-score"] for each in found["tests"])
    for each in [found, *found["tests"]]:
        assert type(each["score"]) is int
        assert each["score"] <= each["max-score"]


def test_without_the_runners_variables_it_says_so() -> None:
    with pytest.raises(
        UsageError, match=r"CLASSROOM, COMMIT_URL not set: this is not the runner of Classroom 50\n"
    ):
        assignment_of({**RUNNER, "CLASSROOM": "", "COMMIT_URL": ""}, REPOSITORY)


def test_what_the_runner_says_has_to_fit_the_schema() -> None:
    with pytest.raises(UsageError, match=r"no result for Classroom 50: \$\.submission"):
        result(graded(), SUBMISSION_TAG="main")


# --- the bundle ------------------------------------------------------------------------------------


def test_a_bundle_has_no_solution_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(tmp_path / name, lab="lab1", course=REPOSITORY, submission=".", provider="embedded")
    packed = tmp_path / "a" / "kubeproof.tar.gz"
    assert packed.read_bytes() == (tmp_path / "b" / "kubeproof.tar.gz").read_bytes()
    assert packed.stat().st_size < LIMIT
    with tarfile.open(packed) as archive:
        names = archive.getnames()
    assert {"graders/grading.py", "rubrics/lab1.yaml", "labs/lab1/lab.yaml", "Makefile"} <= set(names)
    assert not [
        name for name in names if re.search(r"^solutions/|/starter/|^tests/|__pycache__|\.git/", name)
    ]


def test_a_folder_with_something_else_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("for staff")
    with pytest.raises(UsageError, match=r"holds notes\.txt, which would be published"):
        write_bundle(tmp_path, lab="lab1", course=REPOSITORY, submission=".", provider="embedded")


class Runner:
    """Classroom 50's runner, with a learner's checkout; `make` stands in for the installation."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        shutil.copytree(ESSAY, self.checkout)
        self.bundle = shutil.copytree(bundle, folder / "bundle")
        programs = folder / "bin"
        programs.mkdir()
        (folder / "temp").mkdir()
        make = programs / "make"
        # What is installed is what the bundle holds: its own source is the one that runs.
        make.write_text(
            "#!/bin/sh\n"
            'source=${1#--directory=}; mkdir -p "$source/.venv/bin"\n'
            'cat > "$source/.venv/bin/kubeproof" <<END\n#!/bin/sh\n'
            f"env > {folder}/environment-\\$1\n"
            f'PYTHONPATH=$source exec {sys.executable} -m graders "\\$@"\nEND\n'
            'chmod +x "$source/.venv/bin/kubeproof"\n'
        )
        make.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder / "temp"),
            **RUNNER,
            **SECRETS,
        }
        return subprocess.run(
            [sys.executable, self.bundle / "autograder.py"],
            cwd=self.checkout, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of an essay's assignment; each runner has a copy."""
    folder = tmp_path_factory.mktemp("classroom50") / "bundle"
    write_bundle(folder, lab="essay", course=COURSE, submission=".", provider="embedded")
    return folder


@pytest.fixture
def runner(tmp_path: Path, bundled: Path) -> Runner:
    return Runner(tmp_path, bundled)


def test_a_bundle_grades_a_checkout_and_leaves_its_result(runner: Runner) -> None:
    done = runner.run()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((runner.checkout / "result.json").read_text())
    assert (found["score"], found["max-score"], found["owner"]) == (2, 2, "ada")
    assert (runner.checkout / "release-body.md").read_text().startswith("## essay: 2 of 2 points")
    seen = (runner.folder / "environment-grade").read_text()
    for secret in (*SECRETS.values(), RUNNER["SUBMISSION_TAG"]):
        assert secret not in seen
    assert re.search(r"^::stop-commands::([0-9a-f]{32})$(.|\n)*^::\1::$", done.stdout, re.MULTILINE)


def test_a_result_that_was_handed_in_says_nothing(runner: Runner) -> None:
    (runner.checkout / "essay.md").unlink()
    (runner.checkout / "result.json").write_text('{"schema": "classroom50/result/v1", "score": 100}')
    done = runner.run()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((runner.checkout / "result.json").read_text())
    assert (found["score"], found["max-score"]) == (0, 2)
    assert "essay" in found["tests"][0]["message"]


def test_what_cannot_be_installed_is_an_error_and_no_result(runner: Runner) -> None:
    (runner.checkout / "result.json").write_text('{"score": 100}')
    (runner.folder / "bin" / "make").write_text("#!/bin/sh\nexit 2\n")
    done = runner.run()
    assert done.returncode == 3
    assert "this is no zero" in done.stdout
    assert not (runner.checkout / "result.json").exists()


def test_an_archive_that_was_changed_is_not_unpacked(runner: Runner) -> None:
    with (runner.bundle / "kubeproof.tar.gz").open("ab") as file:
        file.write(b"x")
    done = runner.run()
    assert done.returncode == 1
    assert "kubeproof.tar.gz is not the one that was bundled: make the bundle anew" in done.stderr
