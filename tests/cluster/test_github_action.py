"""The whole action on a real lab, with its install steps, and actionlint, which is built from a Go module."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graders.paths import REPOSITORY
from tests.unit.action_steps import SECRETS, Job

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def lint_workflows(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / "scripts" / "lint_workflows.py"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_workflows_are_clean_and_what_is_not_is_found(tmp_path: Path) -> None:
    done = lint_workflows(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("graders", "scripts", ".github", "docs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(REPOSITORY / "action.yml", tmp_path / "action.yml")
    # actionlint reads the action that `./` is where it knows the repository's root.
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    workflow = tmp_path / ".github" / "workflows" / "test.yml"
    workflow.write_text(workflow.read_text().replace("outputs.percent ", "outputs.percents "))
    done = lint_workflows(tmp_path)
    assert done.returncode == 1
    assert 'property "percents" is not defined' in done.stdout


@pytest.mark.skipif(
    not (REPOSITORY / ".venv" / ".ready").exists(), reason="no environment of its own: make setup"
)
@pytest.mark.parametrize(
    ("lab", "submission", "check", "passes"),
    [
        ("1", "solutions/lab1/reference", "code-quality", True),
        ("lab1", "labs/lab1/starter", "code-quality", False),
        ("3", "solutions/lab3/reference", "backlog", True),
        ("lab3", "labs/lab3/starter", "backlog", False),
    ],
)
def test_every_step_as_written_grades_a_submission_of_a_lab(
    lab: str, submission: str, check: str, passes: bool, tmp_path: Path
) -> None:
    """By one check, from the inputs to the end; whole, and with lab 2's programs: `make test-action`."""
    inputs = {"lab": lab, "submission": "work", "args": f"--only {check}", "fail-under": "60"}
    job = Job(tmp_path, REPOSITORY, inputs)
    shutil.copytree(REPOSITORY / submission, job.workspace / "work")
    (tmp_path / "home" / ".cache").symlink_to(Path.home() / ".cache")
    assert job.run() == (0 if passes else 1), job.printed
    found = job.outputs["publish"]
    assert (found["verdict"], found["percent"] == "100") == ("graded", passes)
    assert "section Tracks" in job.summary
    record = Path(found["report"]).parent / "bundle"
    assert json.loads((record / "manifest.json").read_text())["sandbox"] == "bubblewrap"
    written = "".join(path.read_text("utf-8", "replace") for path in record.rglob("*") if path.is_file())
    for secret in SECRETS.values():
        assert secret not in written
