"""How the self-test makes flawed solutions of the reference, and what it makes of their reports."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from graders import selftest
from graders.course import Expected, Lab, load_course
from graders.faults import CourseError, UsageError
from graders.gradingprocess import GradingProcesses
from graders.judgement import judge_bundle
from graders.model import Capability
from graders.progress import Silent
from graders.reports import write_reports
from graders.selftest import Case, Row, overlay, run_selftest
from tests.unit.lab1_recording import Mutation, Recording, reference


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_course().find_lab("lab1")


# --- changing --------------------------------------------------------------------------------------


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    base = tmp_path / "reference"
    for path, text in {
        "submission.yaml": "base",
        "operator/pods.py": "base",
        "operator/jobs.py": "base",
        "tests/test_pods.py": "base",
        "operator/__pycache__/pods.pyc": "stale",
        ".mypy_cache/x": "stale",
    }.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(text)
    return tmp_path


def flawed(solutions: Path, patch: str = "", *remove: str) -> Expected:
    folder = solutions / "flawed" / "why"
    folder.mkdir(parents=True)
    (folder / "expected.yaml").write_text("schema: kubeproof/expected/v1")
    if patch:
        (folder / "change.patch").write_text(patch)
    return Expected("why", "a reason", ("scaling",), tuple(map(PurePosixPath, remove)), folder)


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


PODS = """\
diff --git a/operator/pods.py b/operator/pods.py
--- a/operator/pods.py
+++ b/operator/pods.py
@@ -1 +1 @@
-base
\\ No newline at end of file
+flawed
\\ No newline at end of file
"""


def test_a_changed_solution_is_the_reference_patched(solutions: Path) -> None:
    whole = overlay(solutions / "reference", flawed(solutions, PODS), solutions / "whole")
    assert contents(whole) == {
        "submission.yaml": "base",
        "operator/pods.py": "flawed",
        "operator/jobs.py": "base",
        "tests/test_pods.py": "base",
    }
    assert (solutions / "reference" / "operator" / "pods.py").read_text() == "base"


def test_a_folder_that_it_removes_is_gone(solutions: Path) -> None:
    whole = overlay(solutions / "reference", flawed(solutions, PODS, "tests"), solutions / "whole")
    assert contents(whole) == {
        "submission.yaml": "base",
        "operator/pods.py": "flawed",
        "operator/jobs.py": "base",
    }
    assert (solutions / "reference" / "tests" / "test_pods.py").exists()


def test_a_folder_that_it_removes_may_be_written_anew(solutions: Path) -> None:
    patch = """\
diff --git a/operator/loop.py b/operator/loop.py
new file mode 100644
--- /dev/null
+++ b/operator/loop.py
@@ -0,0 +1 @@
+new
"""
    whole = overlay(solutions / "reference", flawed(solutions, patch, "operator"), solutions / "whole")
    assert contents(whole / "operator") == {"loop.py": "new\n"}


def test_a_patch_that_no_longer_fits_is_refused_before_anything_starts(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(selftest, "grading_processes", lambda *_: pytest.fail("it started something"))
    stale = flawed(tmp_path, PODS.replace("operator", "mltj_operator"))
    poor = dataclasses.replace(lab, flawed=(*lab.flawed, stale))
    with pytest.raises(
        CourseError, match=r"change.patch:4: hunk @@ -1 \+1 @@ no longer fits mltj_operator/pods"
    ):
        run_selftest(poor, focus=True, jobs=1, only=(), out=tmp_path, progress=Silent(), provider="embedded")


# --- comparing -------------------------------------------------------------------------------------


def report(lab: Lab, folder: Path, mutate: Mutation, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report.json of the reference's record after a change, as the self-test reads it."""
    recording = reference()
    mutate(recording)
    bundle = recording.store(folder / "bundle")
    files = write_reports(judge_bundle(lab, bundle.folder, only=only), None, folder)
    found: dict[str, Any] = json.loads(files["json"].read_text(), parse_float=Decimal)
    return found


def misses(*tracks: str) -> Mutation:
    def mutate(recording: Recording) -> None:
        for track in tracks:
            recording.miss(track)

    return mutate


def compared(case: Case, found: dict[str, Any]) -> Row:
    return selftest._compare(case, found, 1.0)


REFERENCE = Case("reference", Path("r"), "nothing")
STARTER = Case("starter", Path("s"), "all but 15 %")


def flaw(*loses: str, with_real_pods: tuple[str, ...] = ()) -> Case:
    more = {Capability.REAL_PODS: with_real_pods} if with_real_pods else {}
    expected = Expected("why", "a reason", loses, (), Path("w"), loses_with=more)
    return Case("why", Path("w"), "exactly these", expected)


def test_a_reference_that_loses_nothing_is_fine(lab: Lab, tmp_path: Path) -> None:
    row = compared(REFERENCE, report(lab, tmp_path, lambda _: None))
    assert (row.ok, row.percent, row.lost, row.verdict) == (True, Decimal(100), (), "graded")


def test_a_reference_that_loses_something_is_told(lab: Lab, tmp_path: Path) -> None:
    row = compared(REFERENCE, report(lab, tmp_path, lambda r: r.miss("scaling")))
    assert (row.ok, row.problem, row.lost) == (False, "surplus loss of scaling", ("scaling",))


def test_a_flaw_that_loses_exactly_its_criterion_is_fine(lab: Lab, tmp_path: Path) -> None:
    assert compared(flaw("scaling"), report(lab, tmp_path, lambda r: r.miss("scaling"))).ok


def test_a_flaw_that_loses_more_is_told(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses("scaling", "suspend", "ttl"))
    assert compared(flaw("scaling"), found).problem == "surplus loss of deadlines, suspend"


def test_a_flaw_that_nobody_notices_is_told(lab: Lab, tmp_path: Path) -> None:
    row = compared(flaw("scaling", "suspend"), report(lab, tmp_path, lambda r: r.miss("suspend")))
    assert row.problem == "did not lose scaling"


def test_a_flaw_that_loses_another_criterion_is_told_both_ways(lab: Lab, tmp_path: Path) -> None:
    row = compared(flaw("scaling"), report(lab, tmp_path, lambda r: r.miss("suspend")))
    assert row.problem == "surplus loss of suspend; did not lose scaling"


def test_a_focused_run_holds_only_what_it_ran_against_the_flaw(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses("scaling", "suspend"), only=("scaling",))
    assert compared(flaw("scaling"), found).ok


def test_what_a_cluster_cannot_show_is_no_loss(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, lambda _: None)
    assert any(criterion["status"] == "unsupported" for criterion in found["criteria"])
    assert compared(REFERENCE, found).lost == ()


def test_what_a_flaw_loses_on_other_clusters_is_not_asked_of_this_one(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, lambda r: r.miss("scaling"))
    assert compared(flaw("scaling", with_real_pods=("in-cluster",)), found).ok
    found["provenance"]["capabilities"].append("real-pods")
    row = compared(flaw("scaling", with_real_pods=("in-cluster",)), found)
    assert (row.expected, row.problem) == (("scaling", "in-cluster"), "did not lose in-cluster")


def test_a_flaw_that_a_cluster_cannot_show_is_not_graded_for_nothing(lab: Lab, tmp_path: Path) -> None:
    case = dataclasses.replace(flaw(with_real_pods=("in-cluster",)), only=("in-cluster",))
    row = selftest._row(lab, case, "embedded", tmp_path / "out", Silent(), GradingProcesses({}), resume=False)
    assert (row.ok, row.verdict, row.statuses) == (True, "cannot be shown", {"in-cluster": "unsupported"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", [REFERENCE, STARTER, flaw("scaling")], ids=lambda case: case.name)
def test_what_could_not_be_graded_is_never_fine(case: Case, lab: Lab, tmp_path: Path) -> None:
    found = report(
        lab,
        tmp_path,
        lambda r: r.manifest["tracks"]["scaling"].update(status="failed", problem="the disk is full"),
    )
    row = compared(case, found)
    assert (row.verdict, row.percent) == ("ungraded", None)
    assert row.problem.startswith("ungraded: ")
    assert "scaling" in row.problem


@pytest.mark.parametrize(
    ("percent", "problem"), [(0, ""), (14.99, ""), (15, "15 % is not below 15 %"), (80, "80 %")]
)
def test_a_starter_stays_below_its_bound(percent: float, problem: str) -> None:
    found = {
        "verdict": "graded",
        "percent": Decimal(str(percent)),
        "criteria": [],
        "outcomes": [],
        "provenance": {},
        "problem": "",
    }
    row = compared(STARTER, found)
    assert row.ok is (not problem)
    assert problem in row.problem


# --- the whole -------------------------------------------------------------------------------------


def test_every_live_criterion_needs_a_flaw(lab: Lab, tmp_path: Path) -> None:
    flaws = tuple(each for each in lab.flawed if "scaling" not in each.everything)
    poor = dataclasses.replace(lab, flawed=flaws)
    with pytest.raises(
        CourseError, match=r"rubrics/lab1.yaml: no flawed solution loses scaling\n  fix: write one"
    ):
        run_selftest(poor, focus=False, jobs=1, only=(), out=tmp_path, progress=Silent(), provider="embedded")


def test_an_unknown_solution_is_told_with_those_there_are(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    with pytest.raises(
        UsageError, match=r"has no solution nonsense\n  fix: there are: reference, reference-go, starter, "
    ):
        run_selftest(
            lab, focus=False, jobs=1, only=("nonsense",), out=tmp_path, progress=Silent(), provider="embedded"
        )


def test_focus_asks_for_the_checks_behind_what_must_be_lost(lab: Lab, tmp_path: Path) -> None:
    cases = {case.name: case for case in selftest._cases(lab, tmp_path / "focused", focus=True)}
    whole = {case.name: case for case in selftest._cases(lab, tmp_path / "whole", focus=False)}
    references = {folder.name for folder in lab.solutions.glob("reference*")}
    changed = {each.name for each in (*lab.flawed, *lab.sound)}
    assert cases.keys() == whole.keys() == {*references, "starter", *changed}
    assert {cases[name].only for name in (*references, "starter")} == {()}
    assert any(each.whole for each in lab.flawed)
    assert all(each.whole for each in lab.sound)
    for expected in (*lab.flawed, *lab.sound):
        behind = () if expected.whole else expected.everything
        assert set(cases[expected.name].only) == set(behind)
        assert whole[expected.name].only == ()
        root = cases[expected.name].root
        assert (root / "submission.yaml").is_file()
        assert (root / "go.mod").is_file() is (expected.base == "reference-go")


def test_a_grading_that_leaves_no_report_is_told_with_the_end_of_its_log(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    broken = dataclasses.replace(lab, id="lab99")
    case = Case("reference", tmp_path / "submission", "nothing")
    case.root.mkdir()
    row = selftest._row(
        broken, case, "embedded", tmp_path / "out", Silent(), GradingProcesses({}), resume=True
    )
    assert not (tmp_path / "out" / "reference" / selftest.MADE_FROM).exists()
    assert (row.ok, row.verdict, row.percent) == (False, "none", None)
    assert row.problem.startswith("no report (")
    assert "there is no lab 'lab99'" in row.problem


# --- going on where it stopped ---------------------------------------------------------------------


@pytest.fixture
def kept(lab: Lab, solutions: Path, tmp_path: Path) -> Case:
    """A case whose report is there, made from just what is there now."""
    case = Case("reference", solutions / "reference", "nothing")
    folder = tmp_path / "out" / case.name
    folder.mkdir(parents=True)
    report(lab, folder, lambda _: None)
    (folder / selftest.MADE_FROM).write_text(selftest._made_from(lab, case, "embedded"))
    return case


def resumed(lab: Lab, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **change: Any) -> bool:
    """Whether the report that is there was taken over."""
    new = Row(case.name, "graded", Decimal(1), (), (), case.rule, 1.0)
    monkeypatch.setattr(selftest, "_grade", lambda *_: new)
    asked = {"provider": "embedded", "resume": True} | change
    provider, resume = asked["provider"], asked["resume"]
    row = selftest._row(lab, case, provider, tmp_path / "out", Silent(), GradingProcesses({}), resume=resume)
    return row.percent == Decimal(100)


def test_a_report_made_from_the_same_is_kept(
    lab: Lab, kept: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = kept.root / "operator" / "__pycache__"
    (cache / "pods.pyc").write_text("newer")
    assert resumed(lab, kept, tmp_path, monkeypatch)
    assert not resumed(lab, kept, tmp_path, monkeypatch, resume=False)


def test_a_report_made_from_something_else_is_made_again(
    lab: Lab, kept: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not resumed(lab, kept, tmp_path, monkeypatch, provider="kind")
    assert not resumed(lab, dataclasses.replace(kept, only=("scaling",)), tmp_path, monkeypatch)
    (kept.root / "operator" / "pods.py").write_text("changed")
    assert not resumed(lab, kept, tmp_path, monkeypatch)


@pytest.mark.parametrize("file", ["report.json", selftest.MADE_FROM])
def test_half_a_report_is_made_again(
    lab: Lab, kept: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    path = tmp_path / "out" / kept.name / file
    path.write_bytes(path.read_bytes()[:40])
    assert not resumed(lab, kept, tmp_path, monkeypatch)
