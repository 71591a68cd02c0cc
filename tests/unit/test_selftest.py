"""How the self-test makes flawed solutions of the reference, and what it makes of their reports."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from typer.testing import CliRunner

from graders.cli import app
from graders.course import PATCH, Expected, Lab, load_course
from graders.faults import CourseError, UsageError
from graders.gradekey import GradeKey
from graders.judgement import judge_bundle
from graders.model import Capability, GradeReport
from graders.outfolder import OutFolder
from graders.progress import Silent
from graders.reports import REPORTS, write_reports
from graders.selftest import Case, SelfTest, SolutionRow, Source, Trust, run_selftest
from graders.selftest import run as selftest_run
from graders.selftest.cases import cases_of, overlay
from graders.selftest.ledger import Ledger, LedgerEntry, load_ledger
from graders.selftest.plan import Lanes, by_lane, plan
from graders.selftest.recordings import Recordings
from graders.selftest.rows import row_of
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
    monkeypatch.setattr(selftest_run, "grading_processes", lambda *_: pytest.fail("it started something"))
    stale = flawed(tmp_path, PODS.replace("operator", "mltj_operator"))
    poor = dataclasses.replace(lab, flawed=(*lab.flawed, stale))
    assert stale.name not in {each.name for each in lab.flawed}
    with pytest.raises(
        CourseError, match=r"change.patch:4: hunk @@ -1 \+1 @@ no longer fits mltj_operator/pods"
    ):
        run_selftest(SelfTest(poor, tmp_path / "out", focus=True, only=(stale.name,)), Silent())


# --- comparing -------------------------------------------------------------------------------------


def report(lab: Lab, folder: Path, mutate: Mutation, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report.json of the reference's record after a change, as the self-test reads it."""
    bundle, judged = _graded(lab, mutate, only)
    results = OutFolder(folder, REPORTS)
    results.begin()
    results.recording.parent.mkdir(exist_ok=True)
    shutil.copytree(bundle, results.recording)
    results.replace()
    files = write_reports(judged, None, folder)
    results.settle(graded=True)
    found: dict[str, Any] = json.loads(files["json"].read_text(), parse_float=Decimal)
    return found


RECORDED: list[Path] = []
"""Where records are kept for the tests of this module."""


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Records that were made once are there for every test, and gone with the last."""
    RECORDED.append(tmp_path_factory.mktemp("recorded"))
    yield
    RECORDED.clear()
    GRADED.clear()


GRADED: dict[tuple[str, Mutation, tuple[str, ...]], tuple[Path, GradeReport]] = {}
"""What was judged already; a change is the same if it is the same function."""


def _graded(lab: Lab, mutate: Mutation, only: tuple[str, ...]) -> tuple[Path, GradeReport]:
    """A record of the reference after a change, to be copied, and what it is worth."""
    key = (lab.rubric.sha256, mutate, only)
    if key not in GRADED:
        recording = reference()
        mutate(recording)
        bundle = RECORDED[-1] / f"{len(GRADED)}"
        recording.store(bundle)
        GRADED[key] = bundle, judge_bundle(lab, bundle, only=only)
    return GRADED[key]


@cache
def misses(*tracks: str) -> Mutation:
    """The change that lets tracks have missed something; of none it is no change."""

    def mutate(recording: Recording) -> None:
        for track in tracks:
            recording.miss(track)

    return mutate


def compared(case: Case, found: dict[str, Any]) -> SolutionRow:
    return row_of(case, found, 1.0)


REFERENCE = Case("reference", Path("r"), "nothing")
STARTER = Case("starter", Path("s"), "all but 15 %")


def flaw(*loses: str, with_real_pods: tuple[str, ...] = ()) -> Case:
    more = {Capability.REAL_PODS: with_real_pods} if with_real_pods else {}
    expected = Expected("why", "a reason", loses, (), Path("w"), loses_with=more)
    return Case("why", Path("w"), "exactly these", expected)


def test_a_reference_that_loses_nothing_is_fine(lab: Lab, tmp_path: Path) -> None:
    row = compared(REFERENCE, report(lab, tmp_path, misses()))
    assert (row.ok, row.percent, row.lost, row.verdict) == (True, Decimal(100), (), "graded")


def test_a_reference_that_loses_something_is_told(lab: Lab, tmp_path: Path) -> None:
    row = compared(REFERENCE, report(lab, tmp_path, misses("scaling")))
    assert (row.ok, row.problem, row.lost) == (False, "surplus loss of scaling", ("scaling",))


def test_a_flaw_that_loses_exactly_its_criterion_is_fine(lab: Lab, tmp_path: Path) -> None:
    assert compared(flaw("scaling"), report(lab, tmp_path, misses("scaling"))).ok


def test_a_flaw_that_loses_more_is_told(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses("scaling", "suspend", "ttl"))
    assert compared(flaw("scaling"), found).problem == "surplus loss of deadlines, suspend"


def test_a_flaw_that_nobody_notices_is_told(lab: Lab, tmp_path: Path) -> None:
    row = compared(flaw("scaling", "suspend"), report(lab, tmp_path, misses("suspend")))
    assert row.problem == "did not lose scaling"


def test_a_flaw_that_loses_another_criterion_is_told_both_ways(lab: Lab, tmp_path: Path) -> None:
    row = compared(flaw("scaling"), report(lab, tmp_path, misses("suspend")))
    assert row.problem == "surplus loss of suspend; did not lose scaling"


def test_a_focused_run_holds_only_what_it_ran_against_the_flaw(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses("scaling", "suspend"), only=("scaling",))
    assert compared(flaw("scaling"), found).ok


def test_what_a_cluster_cannot_show_is_no_loss(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses())
    assert any(criterion["status"] == "unsupported" for criterion in found["criteria"])
    assert compared(REFERENCE, found).lost == ()


def test_what_a_flaw_loses_on_other_clusters_is_not_asked_of_this_one(lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, misses("scaling"))
    assert compared(flaw("scaling", with_real_pods=("in-cluster",)), found).ok
    found["provenance"]["capabilities"].append("real-pods")
    row = compared(flaw("scaling", with_real_pods=("in-cluster",)), found)
    assert (row.expected, row.problem) == (("scaling", "in-cluster"), "did not lose in-cluster")


def _on_a_full_disk(r: Recording) -> None:
    r.manifest["tracks"]["scaling"].update(status="failed", problem="the disk is full")


@pytest.mark.parametrize("case", [REFERENCE, STARTER, flaw("scaling")], ids=lambda case: case.name)
def test_what_could_not_be_graded_is_never_fine(case: Case, lab: Lab, tmp_path: Path) -> None:
    found = report(lab, tmp_path, _on_a_full_disk)
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


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Nothing is graded: what would be is in this list, and does as DONE says."""
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    names: list[str] = []

    class Processes:
        def check(self) -> None:
            """Nothing is being ended."""

        def run(self, arguments: Sequence[str], log: Path, *, most_s: float = math.inf) -> None:
            log.write_text("graded")
            folder = Path(arguments[arguments.index("--out") + 1])
            names.append(folder.name)
            if folder.name in NEVER_ENDS and most_s < 1000:
                raise TimeoutError
            if folder.name in DONE:
                only = tuple(arguments[at + 1] for at, word in enumerate(arguments) if word == "--only")
                report(load_course().find_lab("lab1"), folder, DONE[folder.name], only)

    monkeypatch.setattr(selftest_run, "grading_processes", lambda *_: contextlib.nullcontext(Processes()))
    return names


DONE: dict[str, Mutation] = {
    "reference": misses(),
    "never-shrinks": misses("scaling"),
    "service-without-owner": misses("scaling"),
}
"""What becomes of these; others leave no report."""

NEVER_ENDS = frozenset({"one-is-enough"})


@pytest.fixture
def own(lab: Lab, tmp_path: Path) -> Lab:
    """The lab, its solutions where a ledger may be written."""
    solutions = tmp_path / "solutions" / "lab1"
    solutions.mkdir(parents=True)
    for each in lab.solutions.iterdir():
        if each.name != "ledger.json":
            (solutions / each.name).symlink_to(each)
    flawed = tuple(dataclasses.replace(each, folder=solutions / "flawed" / each.name) for each in lab.flawed)
    return dataclasses.replace(lab, solutions=solutions, flawed=flawed)


def run(lab: Lab, tmp_path: Path, *only: str, **options: Any) -> dict[str, SolutionRow]:
    test = SelfTest(lab, tmp_path / "out", only=only, writes_ledger="trust" not in options, **options)
    return {row.name: row for row in run_selftest(test, Silent())}


def test_every_live_criterion_needs_a_flaw(lab: Lab, tmp_path: Path) -> None:
    flaws = tuple(each for each in lab.flawed if "scaling" not in each.everything)
    poor = dataclasses.replace(lab, flawed=flaws)
    with pytest.raises(
        CourseError, match=r"rubrics/lab1.yaml: no flawed solution loses scaling\n  fix: write one"
    ):
        run(poor, tmp_path)


def test_an_unknown_solution_is_told_with_those_there_are(
    lab: Lab, tmp_path: Path, graded: list[str]
) -> None:
    with pytest.raises(
        UsageError, match=r"has no solution nonsense\n  fix: there are: reference, reference-go, starter, "
    ):
        run(lab, tmp_path, "nonsense")
    assert graded == []


@pytest.mark.parametrize("slug", load_course().slugs)
def test_every_patch_fits_its_reference(slug: str, tmp_path: Path) -> None:
    lab = load_course().find_lab(slug)
    for expected in (*lab.flawed, *lab.sound):
        base, patch = lab.solutions / expected.base, expected.folder / PATCH
        assert base in lab.references, expected.name
        if expected.remove or not patch.exists():
            base = overlay(base, dataclasses.replace(expected, folder=tmp_path), tmp_path / expected.name)
        if patch.exists():
            check = ["git", "apply", "--check", "--whitespace=nowarn", patch.resolve()]
            outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(base.parent)}
            done = subprocess.run(check, cwd=base, env=outside, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{expected.name}: {done.stderr}"


def test_focus_asks_for_the_checks_behind_what_must_be_lost(lab: Lab, tmp_path: Path) -> None:
    changed = (*lab.flawed[:3], *(each for each in lab.flawed if each.whole), *lab.sound[:1])
    some = ("reference", "reference-go", "starter", *(each.name for each in changed))
    cases = {case.name: case for case in cases_of(lab, tmp_path / "focused", focus=True, only=some)}
    whole = {case.name: case for case in cases_of(lab, tmp_path / "whole", focus=False, only=some)}
    assert cases.keys() == whole.keys() == set(some)
    assert {cases[name].only for name in some[:3]} == {()}
    assert {case.only for case in whole.values()} == {()}
    assert {each.whole for each in changed} == {True, False}
    for expected in changed:
        behind = () if expected.whole else expected.everything
        assert set(cases[expected.name].only) == set(behind)
        root = cases[expected.name].root
        assert (root / "submission.yaml").is_file()
        assert (root / "go.mod").is_file() is (expected.base == "reference-go")


def test_a_grading_that_leaves_no_report_is_told_with_the_end_of_its_log(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    row = run(own, tmp_path, "one-is-enough")["one-is-enough"]
    assert (row.ok, row.verdict, row.percent) == (False, "none", None)
    assert row.problem.startswith("no report (")
    assert row.problem.endswith("graded")
    assert "one-is-enough" not in load_ledger(own.solutions).entries


def test_a_flaw_that_a_cluster_cannot_show_is_not_graded_for_nothing(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    real = {Capability.REAL_PODS: ("in-cluster",)}
    elsewhere = dataclasses.replace(own.flawed[0], name="elsewhere", loses=(), loses_with=real)
    lab = dataclasses.replace(own, flawed=(*own.flawed, elsewhere))
    row = run(lab, tmp_path, "elsewhere", focus=True)["elsewhere"]
    assert (row.ok, row.verdict, row.statuses) == (True, "cannot be shown", {"in-cluster": "unsupported"})
    assert graded == []


# --- what is known ---------------------------------------------------------------------------------


def test_what_is_recorded_is_kept_and_judged_the_next_time(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    first = run(own, tmp_path, "reference", "never-shrinks")
    noted = load_ledger(own.solutions).entries
    assert all(datetime.fromisoformat(entry.proven_at).tzinfo is not None for entry in noted.values())
    again = run(own, tmp_path, "reference", "never-shrinks")
    assert graded == ["reference", "never-shrinks"]
    assert load_ledger(own.solutions).entries == noted
    assert {row.source for row in first.values()} == {Source.LIVE}
    assert {row.source for row in again.values()} == {Source.KEPT}
    for name, row in again.items():
        assert (row.lost, row.percent, row.statuses, row.problem) == (
            first[name].lost, first[name].percent, first[name].statuses, first[name].problem,
        )  # fmt: skip
        assert (tmp_path / "out" / name / "report.html").is_file()


def test_again_records_anew(own: Lab, tmp_path: Path, graded: list[str]) -> None:
    run(own, tmp_path, "reference")
    run(own, tmp_path, "reference", again=True)
    assert graded == ["reference", "reference"]


def test_a_kept_record_that_cannot_be_judged_is_made_anew(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    run(own, tmp_path, "reference")
    (kept,) = (tmp_path / "cache" / "recordings" / "lab1").iterdir()
    kept.write_bytes(kept.read_bytes()[:5000])
    assert run(own, tmp_path, "reference")["reference"].source is Source.LIVE
    assert graded == ["reference", "reference"]


def test_what_was_proven_is_in_the_ledger_and_what_was_not_is_out_of_it(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    rows = run(own, tmp_path, "reference", "never-shrinks", "service-without-owner")
    assert rows["service-without-owner"].problem == "surplus loss of scaling; did not lose owner-gc"
    entries = load_ledger(own.solutions).entries
    assert list(entries) == ["never-shrinks", "reference"]
    assert entries["never-shrinks"].lost == ("scaling",)
    assert entries["never-shrinks"].outcomes["scaling"] == "failed"


def test_what_is_known_as_a_whole_is_not_graded_for_its_flaw_alone(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    run(own, tmp_path, "never-shrinks")
    row = run(own, tmp_path, "never-shrinks", focus=True)["never-shrinks"]
    assert (row.source, len(row.statuses)) == (Source.KEPT, len(own.checks))
    assert graded == ["never-shrinks"]


def test_a_grading_of_its_flaw_alone_is_no_record_of_a_solution(
    own: Lab, tmp_path: Path, graded: list[str]
) -> None:
    first = run(own, tmp_path, "never-shrinks", focus=True)["never-shrinks"]
    assert first.statuses == {"scaling": "failed"}
    assert run(own, tmp_path, "never-shrinks")["never-shrinks"].source is Source.LIVE
    assert graded == ["never-shrinks", "never-shrinks"]


@pytest.mark.parametrize(
    ("options", "writes"),
    [
        ([], True),
        (["--focus"], False),
        (["--trust-ledger", "c0ffee"], False),
        (["--stale", "--budget", "20"], True),
        (["--provider", "kind"], False),
    ],
)
def test_only_whole_gradings_on_embedded_are_noted_in_the_ledger(
    options: list[str], writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graders.cli import selftest as command

    asked: list[SelfTest] = []
    monkeypatch.setattr(command, "run_selftest", lambda test, _: asked.append(test) or [])
    CliRunner().invoke(app, ["selftest", "lab1", "--out", str(tmp_path), *options])
    assert [test.writes_ledger for test in asked] == [writes]


def test_a_ledger_that_is_none_is_told(own: Lab, tmp_path: Path) -> None:
    (own.solutions / "ledger.json").write_text('{"schema": "kubeproof/ledger/v9"}')
    with pytest.raises(CourseError, match=r"ledger.json: this is no ledger.*\n  fix: remove it"):
        load_ledger(own.solutions)


class TestTrust:
    """With the ledger trusted, only what it does not vouch for is graded, and a sample."""

    @pytest.fixture
    def proven(self, own: Lab, tmp_path: Path, graded: list[str]) -> Lab:
        """A lab whose ledger vouches for two solutions, on a machine that has no records."""
        run(own, tmp_path, "reference", "never-shrinks")
        shutil.rmtree(tmp_path / "cache")
        graded.clear()
        return own

    def test_references_are_graded_all_the_same(self, proven: Lab, tmp_path: Path, graded: list[str]) -> None:
        rows = run(proven, tmp_path, "reference", trust=Trust("c0ffee"))
        assert graded == ["reference"]
        assert rows["reference"].ok

    def test_at_least_one_of_the_rest_is_graded(self, proven: Lab, tmp_path: Path, graded: list[str]) -> None:
        rows = run(proven, tmp_path, "never-shrinks", trust=Trust("c0ffee"))
        assert (graded, rows["never-shrinks"].source) == (["never-shrinks"], Source.LIVE)

    def test_a_false_ledger_is_found(
        self, proven: Lab, tmp_path: Path, graded: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = load_ledger(proven.solutions)
        entry = ledger.entries["never-shrinks"]
        false = entry.model_copy(update={"outcomes": {**entry.outcomes, "suspend": "failed"}})
        dataclasses.replace(ledger, entries={**ledger.entries, "never-shrinks": false}).write()
        row = run(proven, tmp_path, "never-shrinks", trust=Trust("c0ffee"))["never-shrinks"]
        assert row.problem == "the ledger is false: suspend passed and not failed"

    def test_what_there_is_no_time_for_is_unproven(self, own: Lab, tmp_path: Path, graded: list[str]) -> None:
        names = ("reference", "never-shrinks", "one-is-enough")
        trust = Trust("c0ffee", until=200.0, clock=lambda: 130.0 * len(graded))
        rows = run(own, tmp_path, *names, trust=trust)
        assert graded == ["reference"]
        assert [rows[name].verdict for name in names] == ["graded", "unproven", "unproven"]
        assert (rows["one-is-enough"].ok, rows["one-is-enough"].problem) == (False, "")

    def test_what_does_not_end_in_time_is_unproven(self, own: Lab, tmp_path: Path, graded: list[str]) -> None:
        trust = Trust("c0ffee", until=200.0, clock=lambda: 0.0)
        row = run(own, tmp_path, "one-is-enough", trust=trust)["one-is-enough"]
        assert (graded, row.unproven) == (["one-is-enough"], True)

    def test_where_no_time_is_left_the_ledger_vouches_for_what_it_knows(
        self, proven: Lab, tmp_path: Path, graded: list[str]
    ) -> None:
        rows = run(proven, tmp_path, "reference", "never-shrinks", trust=Trust("c0ffee", until=0.0))
        assert [row.source for row in rows.values()] == [Source.LEDGER, Source.LEDGER]
        assert graded == []

    def test_time_that_gradings_did_not_take_is_there_for_others(
        self, own: Lab, tmp_path: Path, graded: list[str]
    ) -> None:
        names = ("reference", "never-shrinks", "service-without-owner")
        run(own, tmp_path, *names, trust=Trust("c0ffee", until=100.0, clock=lambda: 1.0 * len(graded)))
        assert graded == list(names)

    def test_a_tenth_is_drawn_by_the_text_alone(self, lab: Lab, tmp_path: Path) -> None:
        cases = [Case(f"flaw-{at}", tmp_path, "exactly these", lab.flawed[0]) for at in range(30)]
        keys = {case.name: GradeKey("r", "j", "s") for case in cases}
        entry = LedgerEntry(
            record="r", judge="j", score="s", percent=Decimal(90), lost=(), seconds=60, outcomes={}
        )
        ledger = Ledger(tmp_path / "ledger.json", {case.name: entry for case in cases})

        def drawn(text: str) -> tuple[str, ...]:
            made = plan(
                cases, keys, Recordings("lab1", cache=tmp_path), ledger,
                again=False, trust=Trust(text),
            )  # fmt: skip
            assert len(made.live) + len(made.proven) == 30
            return tuple(case.name for case in made.live)

        assert len(drawn("one commit")) == 3
        assert drawn("one commit") == drawn("one commit")
        assert len({drawn(f"commit {at}") for at in range(20)}) > 10


class TestStale:
    """Without a sample, a self-test goes on where the ledger ends."""

    def test_nothing_known_is_graded(self, own: Lab, tmp_path: Path, graded: list[str]) -> None:
        run(own, tmp_path, "reference")
        rows = run(own, tmp_path, "reference", "never-shrinks", trust=Trust())
        assert graded == ["reference", "never-shrinks"]
        assert [row.ok for row in rows.values()] == [True, True]

    def test_what_was_proven_longest_ago_comes_first_after_references(self, lab: Lab, tmp_path: Path) -> None:
        flaw = lab.flawed[0]
        cases = [Case(name, tmp_path, "exactly these", flaw) for name in ("old", "never", "older")]
        cases += [Case("alone", tmp_path, "exactly these", flaw, ("gang",)), Case("reference", tmp_path, "")]
        entry = LedgerEntry(
            record="r", judge="j", score="s", percent=Decimal(90), lost=(), seconds=60, outcomes={}
        )
        entries = {
            name: entry.model_copy(update={"proven_at": f"{year}-01-01T00:00:00+00:00"})
            for name, year in (("old", 2026), ("older", 2025), ("reference", 2026))
        }
        ledger = Ledger(tmp_path / "ledger.json", entries)
        keys = {case.name: GradeKey("other", "j", "s") for case in cases}
        recordings = Recordings("lab1", cache=tmp_path)
        made = plan(cases, keys, recordings, ledger, again=False, trust=Trust())
        assert [case.name for case in made.live] == ["reference", "never", "older", "old", "alone"]

    def test_what_is_not_known_takes_as_long_as_the_slowest(self, tmp_path: Path) -> None:
        entry = LedgerEntry(
            record="r", judge="j", score="s", percent=Decimal(90), lost=(), seconds=60, outcomes={}
        )
        ledger = Ledger(tmp_path / "ledger.json", {"one": entry})
        assert (ledger.expected_s("one", 5.0), ledger.expected_s("two", 5.0)) == (60, 60)
        assert Ledger(tmp_path / "ledger.json", {}).expected_s("one", 5.0) == 5.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", "5"], "give --stale or --trust-ledger COMMIT with it"),
        (["--stale", "--again"], "--stale grades nothing that is known, and --again does"),
        (["--stale", "--trust-ledger", "c0ffee"], "and --trust-ledger does"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        CliRunner().invoke(app, ["selftest", "lab1", *options], catch_exceptions=False)
    assert said in str(refused.value)


def test_what_stays_unproven_is_named_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graders.cli import selftest as command

    known = SolutionRow("reference", "graded", Decimal(100), (), (), "nothing", 60.0)
    unknown = SolutionRow("never-shrinks", "unproven", None, (), (), "", 0.0, unproven=True)
    monkeypatch.setattr(command, "run_selftest", lambda *_: [known, unknown])
    options = ["--trust-ledger", "c0ffee", "--budget", "0", "--out", str(tmp_path)]
    ended = CliRunner().invoke(app, ["selftest", "lab1", *options])
    assert ended.exit_code == 0
    told = " ".join(ended.output.split())
    assert "1 of 2 solutions of lab1 stay unproven" in told
    assert "vouch for them: never-shrinks fix: run `kubeproof selftest lab1 --stale`" in told
    assert ended.output.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


def test_whole_gradings_have_their_cores_alone(lab: Lab, tmp_path: Path) -> None:
    cases = [
        Case("one", tmp_path, "exactly these", lab.flawed[0], ("gang",)),
        Case("two", tmp_path, "nothing"),
        Case("three", tmp_path, "exactly these", lab.flawed[1], ("quiet",)),
    ]
    parts = [([case.name for case in part], jobs) for part, jobs in by_lane(cases, Lanes(whole=1, flaws=2))]
    assert parts == [(["one"], 2), (["two"], 1), (["three"], 2)]


def test_a_folder_that_holds_what_is_not_ours_is_refused(own: Lab, tmp_path: Path, graded: list[str]) -> None:
    mine = tmp_path / "out" / "reference" / "essay.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"holds what kubeproof did not write \(reference\)"):
        run(own, tmp_path, "starter")
    assert (mine.read_text(), graded) == ("mine", [])
