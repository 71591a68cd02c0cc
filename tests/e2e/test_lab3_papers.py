"""What of lab 3 needs no cluster: the reference earns it, and a flawed solution loses exactly it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graders.course import load_course
from graders.paths import REPOSITORY
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
        if case.name != "reference" and (not lost or not lost <= set(live)):
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
