"""Lab 1 from end to end: what the reference and the starter earn, and what their reports are worth.

The flawed and the sound are the self-test's.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from graders.course import Lab, load_course
from graders.progress import Silent
from graders.reports.report_json import load_report
from graders.selftest import SelfTest, SolutionRow, at_once, run_selftest
from tests.e2e.command import Ended, Running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this session: each has its own beside the others'."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "solutions"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def rows(lab: Lab, out: Path) -> dict[str, SolutionRow]:
    """What the solutions earned, by name: by a kept record, or else graded by the first worker that asks."""
    rows = out.with_suffix(".pickle")
    with FileLock(out.with_suffix(".lock")):
        if not rows.exists():
            test = SelfTest(lab, out, only=("reference", "starter"), jobs=at_once())
            graded = run_selftest(test, Silent())
            rows.write_bytes(pickle.dumps({row.name: row for row in graded}))
    found: dict[str, SolutionRow] = pickle.loads(rows.read_bytes())
    return found


@pytest.fixture(scope="module")
def reference(rows: dict[str, SolutionRow], out: Path) -> Path:
    """Where the reference's report and bundle are."""
    assert rows["reference"].verdict == "graded"
    return out / "reference"


class TestWhatSolutionsEarn:
    def test_the_reference_earns_everything(self, rows: dict[str, SolutionRow]) -> None:
        row = rows["reference"]
        assert (row.problem, row.lost, row.percent) == ("", (), Decimal(100))

    def test_and_every_criterion_that_can_be_shown_was_judged(self, lab: Lab, reference: Path) -> None:
        report = load_report(reference / "report.json")
        live = {criterion.id for criterion in lab.rubric.criteria if not criterion.planned}
        by_status: dict[str, set[str]] = {}
        for one in report["criteria"]:
            by_status.setdefault(one["status"], set()).add(one["id"])
        # Pods are simulated here; what only real ones show has moved its points.
        assert by_status == {"passed": live - {"in-cluster"}, "unsupported": {"in-cluster"}}
        assert report["possible"] == 100

    def test_the_starter_runs_and_earns_little(self, rows: dict[str, SolutionRow], out: Path) -> None:
        row = rows["starter"]
        assert row.problem == ""
        assert row.percent is not None
        assert row.percent < 15
        assert "operator that starts" not in (out / "starter" / "report.json").read_text()

    def test_what_was_lost_is_explained(self, rows: dict[str, SolutionRow], out: Path) -> None:
        lost = [
            outcome
            for outcome in load_report(out / "starter" / "report.json")["outcomes"]
            if outcome["status"] == "failed"
        ]
        assert lost
        for outcome in lost:
            assert outcome["expected"], outcome["check"]
            assert outcome["observed"], outcome["check"]
            assert outcome["hint"], outcome["check"]


@pytest.fixture(scope="module")
def judged(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The reference's bundle judged again where there is neither cache nor binaries."""
    place = tmp_path_factory.mktemp("judged")
    folder = place / "out"
    shutil.copytree(reference / "bundle", folder / "bundle")
    nothing = {"KUBEPROOF_CACHE": str(place / "cache"), "KUBEPROOF_BINARIES": str(place / "nothing")}
    arguments: list[str | Path] = ["judge", folder / "bundle", "--out", folder, "--json"]
    return Running(arguments, folder, environment=nothing).end()


def result(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says, without how long it took to find out."""
    kept = {
        key: report[key] for key in ("lab", "verdict", "total", "possible", "percent", "criteria", "notes")
    }
    outcomes = [{k: v for k, v in one.items() if k != "duration_s"} for one in report["outcomes"]]
    return {**kept, "outcomes": outcomes, "provenance": report["provenance"]}


class TestJudgingAgain:
    def test_gives_the_same_result(self, judged: Ended, reference: Path) -> None:
        assert judged.code == 0
        assert result(judged.report) == result(load_report(reference / "report.json"))

    def test_needs_no_cluster_no_binaries_and_no_runtime(self, judged: Ended) -> None:
        assert judged.left == []
        place = judged.folder.parent
        assert not (place / "nothing").exists()
        assert not (place / "cache").exists() or not list((place / "cache").iterdir())

    def test_prints_a_report_of_the_schema_and_nothing_else(self, judged: Ended, tmp_path: Path) -> None:
        file = tmp_path / "printed.json"
        file.write_text(judged.out)
        assert load_report(file) == judged.report
        assert json.loads(judged.out)["schema"] == "kubeproof/report/v1"

    def test_a_bar_above_the_score_changes_the_exit_code_only(
        self, out: Path, rows: dict[str, SolutionRow]
    ) -> None:
        bundle = out / "starter" / "bundle"
        ended = Running(["judge", bundle, "--fail-under", "60"], out / "bar").end()
        assert ended.code == 1
        assert rows["starter"].percent is not None


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_opens_in_a_browser(reference: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    shown = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=2000", "--dump-dom", (reference / "report.html").as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert "creates-pods" in shown
    assert "100" in shown
    assert "<svg" in shown
