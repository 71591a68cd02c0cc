"""What of lab 3 needs no cluster: the reference earns it, and a flawed solution loses exactly it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import nbformat
import psutil
import pytest

from graders.course import load_course
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.lab3.runtimes import NOTEBOOK
from graders.notebooks import executing
from graders.paths import REPOSITORY
from graders.progress import Silent
from graders.sandbox import Limits, sandbox_named
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.spec import Run
from graders.selftest.cases import cases_of

PAPERS = ("runbook", "report", "backlog")


def graded(submission: Path, out: Path, checks: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "graders", "grade", "lab3", submission, "--out", out]
    command += [word for check in checks for word in ("--only", check)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "starting cluster" not in done.stderr
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return {each["check"]: each["status"] for each in report["outcomes"]}


def test_papers_lose_exactly_what_they_should(tmp_path: Path) -> None:
    lab = load_course(REPOSITORY).find_lab("lab3")
    live = [each.id for each in lab.rubric.criteria if each.id in PAPERS and not each.planned]
    assert live
    tried = 0
    for case in cases_of(lab, tmp_path, focus=False):
        lost = set(case.flaw.everything) if case.flaw is not None else set()
        if not case.name.startswith("reference") and (not lost or not lost <= set(live)):
            continue
        statuses = graded(case.root, tmp_path / f"out-{case.name}", live)
        assert {name for name, status in statuses.items() if status != "passed"} == lost, case.name
        tried += 1
    assert tried > len(live)


@pytest.mark.parametrize("check", PAPERS[:1])
def test_a_paper_that_is_not_there_costs_its_row_alone(check: str, tmp_path: Path) -> None:
    # The starter has neither report nor backlog, and a runbook without headings.
    statuses = graded(REPOSITORY / "labs" / "lab3" / "starter", tmp_path / "out", [check])
    assert statuses == {check: "failed"}


def as_notebook(folder: Path, last: str) -> Path:
    """The reference with its report as a notebook, whose last cell holds the code `last`."""
    submission = folder / "submission"
    shutil.copytree(REPOSITORY / "solutions" / "lab3" / "reference", submission)
    report = submission / "report.md"
    _, front, body = report.read_text(encoding="utf-8").split("---\n", 2)
    report.unlink()
    (submission / "front.yaml").write_text(front, encoding="utf-8")
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("print(open('front.yaml').read())")
    cell.metadata["tags"] = ["front-matter"]
    notebook.cells = [cell, nbformat.v4.new_markdown_cell(body), nbformat.v4.new_code_cell(last)]
    (submission / "report.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return submission


def test_a_report_may_be_a_notebook(tmp_path: Path) -> None:
    statuses = graded(as_notebook(tmp_path, "1 + 1"), tmp_path / "out", ["report"])
    assert statuses == {"report": "passed"}


def test_a_notebook_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "WITHIN_S", 3.0)
    seconds = "123454321"
    hanging = f"import subprocess; subprocess.run(['sleep', '{seconds}'])"
    root = as_notebook(tmp_path, hanging)
    with BundleWriter(tmp_path / "bundle") as writer:
        run = SimpleNamespace(
            session=SimpleNamespace(folder=tmp_path / "scratch"),
            submission=SimpleNamespace(root=root),
            settings=SimpleNamespace(tool_limits=Limits(wall_s=60.0)),
            sandbox=sandbox_named("bubblewrap"),
            recording=Recording(writer),
        )
        executing.execute(cast(Run, run), ensure_runtime(Silent(), lock=NOTEBOOK), "report.ipynb")
    executed = json.loads((tmp_path / "bundle" / "executednotebooks.jsonl").read_text(encoding="utf-8"))
    assert not executed["ok"]
    assert "had not ended after" in executed["how"]
    assert not any(seconds in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))


def test_a_notebook_that_fails_costs_its_row(tmp_path: Path) -> None:
    outside = "import urllib.request; urllib.request.urlopen('http://198.51.100.1', timeout=5)"
    statuses = graded(as_notebook(tmp_path, outside), tmp_path / "out", ["report"])
    assert statuses == {"report": "failed"}
