"""The commands `grade`, `judge` and `selftest` as somebody types them: output, files and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graders import cli, grading
from graders.cli import app, main
from graders.faults import CourseError, InfraFault, UsageError
from graders.grading import GradeRequest
from graders.judgement import judge_bundle
from graders.model import GradeReport, Verdict
from graders.paths import REPOSITORY
from graders.progress import Progress
from graders.selftest import SelfTest, SolutionRow
from tests.unit.essay_record import COURSE, essay_record
from tests.unit.lab1_recording import Recording, reference
from tests.unit.typed_here import typed_here

STARTER = str(REPOSITORY / "labs" / "lab1" / "starter")


def kubeproof(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KUBEPROOF_STATE": str(cwd / "state")}
    return subprocess.run(
        [sys.executable, "-m", "graders", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


class Typed:
    """The command in this process, from its first line to its exit code, in a folder of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]) -> None:
        self._patch, self._printed = patch, printed
        patch.chdir(folder)
        patch.setenv("KUBEPROOF_STATE", str(folder / "state"))
        patch.setattr(cli, "clean_up_on_signals", lambda: None)

    def fails(self, *arguments: str) -> tuple[object, str]:
        """The exit code, and what was said on the standard error."""
        self._patch.setattr(sys, "argv", ["kubeproof", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, self._printed.readouterr().err


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of the reference of lab 1, which nobody changes."""
    return bundle(tmp_path_factory.mktemp("whole"))


def bundle(folder: Path, change: Callable[[Recording], None] = lambda _: None) -> Path:
    recording = reference()
    change(recording)
    return recording.store(folder / "bundle").folder


# --- judge -----------------------------------------------------------------------------------------


def test_judge_prints_the_report_and_writes_it_beside_the_bundle(tmp_path: Path) -> None:
    record = essay_record(tmp_path / "bundle")
    done = kubeproof("--course", str(COURSE), "judge", str(record), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "100" in done.stdout
    assert {"report.json", "report.html", "junit.xml"} <= {path.name for path in tmp_path.iterdir()}


def test_judge_as_json_prints_nothing_else(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["judge", str(whole), "--json", "--out", "elsewhere", "--only", "quiet"]
    done = CliRunner().invoke(app, words)
    report = json.loads(done.stdout)
    assert (report["schema"], report["verdict"], report["percent"]) == ("kubeproof/report/v1", "graded", 100)
    assert json.loads((tmp_path / "elsewhere" / "report.json").read_text()) == report


def test_judge_only_one_check(whole: Path, tmp_path: Path) -> None:
    words = ["judge", str(whole), "--out", str(tmp_path), "--json", "--only", "retries,scaling"]
    done = CliRunner().invoke(app, words)
    checks = {outcome["check"] for outcome in json.loads(done.stdout)["outcomes"]}
    assert checks == {"retries", "scaling"}


@pytest.mark.parametrize(("least", "code"), [("51", 1), ("50", 0)])
def test_fail_under_fails_below_and_not_at_the_bound(least: str, code: int, tmp_path: Path) -> None:
    """A short essay has 1 of 2 points."""
    record = essay_record(tmp_path / "bundle", "etcd and little else")
    assert typed_here(COURSE, "judge", record, "--fail-under", least).exit_code == code


def test_what_could_not_be_judged_is_exit_code_3(tmp_path: Path) -> None:
    folder = bundle(tmp_path, lambda r: r.manifest["tracks"]["ttl"].update(status="failed", problem="disk"))
    done = CliRunner().invoke(app, ["judge", str(folder), "--only", "deadlines"])
    assert done.exit_code == 3
    assert "deadlines" in done.stdout


# --- bad usage -------------------------------------------------------------------------------------

BAD_USAGE = [
    (["grade", "lab11", STARTER], "there is no lab 'lab11'", "fix: did you mean 'lab1'?"),
    (["grade", "lab1", STARTER, "--only", "retrys"], "lab lab1 has no check 'retrys'", "retries"),
    (["grade", "lab1", STARTER, "--fail-under", "150"], "--fail-under 150 is no percentage", "from 0 to 100"),
    (
        ["grade", "lab1", STARTER, "--fail-under", "most"],
        "--fail-under most is no percentage",
        "from 0 to 100",
    ),
    (["grade", "lab1", STARTER, "--fail-under=-1"], "--fail-under -1 is no percentage", "from 0 to 100"),
    (["grade", "lab1", STARTER, "--fail-under", "nan"], "--fail-under nan is no percentage", "from 0 to 100"),
    (
        ["judge", "nowhere"],
        "nowhere: there is no evidence bundle here",
        "name a folder that has a manifest.json",
    ),
    (["judge", STARTER], "there is no evidence bundle here", "OUT/bundle"),
]


@pytest.mark.parametrize(
    ("arguments", "says", "fix"), BAD_USAGE, ids=[" ".join(a[:1] + a[2:]) for a, *_ in BAD_USAGE]
)
def test_bad_usage_is_one_message_and_exit_code_2(
    arguments: list[str], says: str, fix: str, tmp_path: Path, typed: Typed
) -> None:
    code, said = typed.fails(*arguments)
    assert code == 2
    assert says in said
    assert fix in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = kubeproof("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"kubeproof {version('kubeproof')}\n")


def test_an_unknown_option_is_exit_code_2(typed: Typed) -> None:
    code, said = typed.fails("grade", "lab1", STARTER, "--fast")
    assert code == 2
    assert "No such option" in said
    assert "Traceback" not in said


def test_a_submission_that_is_not_there_is_told_with_a_fix(typed: Typed) -> None:
    code, said = typed.fails("grade", "lab1", "nowhere")
    assert code == 2
    assert "nowhere" in said
    assert "fix:" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments", [["--help"], ["grade", "--help"], ["judge", "--help"], ["selftest", "--help"]]
)
def test_help_is_there(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "Usage" in done.output


# --- grade -----------------------------------------------------------------------------------------


class Graded:
    """Stands in for grading: keeps the request, gives a report."""

    def __init__(self, report: GradeReport | Exception) -> None:
        self.report = report
        self.requests: list[GradeRequest] = []

    def __call__(self, request: GradeRequest, progress: Progress) -> GradeReport:
        self.requests.append(request)
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


def report(verdict: Verdict, problem: str = "") -> GradeReport:
    provenance = {"provider": "embedded", "sandbox": "bubblewrap", "kubeproof": "0"}
    return GradeReport(
        "lab1", verdict, {"learner_id": "", "digest": ""}, (), None, provenance, problem=problem
    )


def test_options_reach_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graded = Graded(report(Verdict.REJECTED, "submission.yaml:3: unknown key"))
    monkeypatch.setattr(grading, "grade", graded)
    monkeypatch.chdir(tmp_path)
    options = ["--only", "retries", "--only", "suspend, scaling", "--seed", "9", "--learner", "ada", "--keep"]
    done = CliRunner().invoke(app, ["grade", "1", STARTER, *options, "--sandbox", "none"])
    (request,) = graded.requests
    assert (request.lab.id, str(request.submission), request.out) == ("lab1", STARTER, Path("out/lab1"))
    assert request.only == ("retries", "suspend", "scaling")
    assert (request.seed, request.learner_id, request.sandbox) == (9, "ada", "none")
    assert (request.provider, request.hold is not None) == ("embedded", True)
    assert done.exit_code == 2
    assert "unknown key" in done.output


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.REJECTED, 2), (Verdict.UNGRADED, 3)], ids=["rejected", "ungraded"]
)
def test_a_verdict_has_its_exit_code_and_is_never_a_zero(
    verdict: Verdict, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "grade", Graded(report(verdict, "the reason")))
    arguments = ["grade", "lab1", STARTER, "--out", str(tmp_path), "--json", "--fail-under", "50"]
    done = CliRunner().invoke(app, arguments)
    said = json.loads(done.stdout)
    assert done.exit_code == code
    assert (said["verdict"], said["problem"], said["total"], said["percent"]) == (
        verdict.value,
        "the reason",
        None,
        None,
    )


def test_it_is_said_where_the_last_graded_record_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "grade", Graded(report(Verdict.REJECTED, "the reason")))
    (tmp_path / "earlier").mkdir()
    done = CliRunner().invoke(app, ["grade", "lab1", STARTER, "--out", str(tmp_path)])
    assert f"the last graded record and its reports are in {tmp_path / 'earlier'}\n" in done.stderr


def test_a_judgement_goes_beside_nothing_of_anybody_s(tmp_path: Path) -> None:
    (bundle(tmp_path).parent / "report.html").write_text("mine")
    done = CliRunner().invoke(app, ["judge", str(tmp_path / "bundle")])
    assert isinstance(done.exception, UsageError)
    assert "holds what kubeproof did not write (report.html)" in str(done.exception)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_graded_submission_is_exit_code_0(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graders.course import load_course

    earned = judge_bundle(load_course().find_lab("lab1"), whole, only=("quiet",))
    monkeypatch.setattr(grading, "grade", Graded(earned))
    done = CliRunner().invoke(app, ["grade", "lab1", STARTER, "--out", str(tmp_path), "--fail-under", "100"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CourseError("a contradiction", file="rubrics/lab1.yaml", line=4), 2),
        (InfraFault("no disk", fix="free some"), 3),
    ],
    ids=["course", "infrastructure"],
)
def test_errors_of_ours_are_a_message_and_a_code(
    error: Exception,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(grading, "grade", Graded(error))
    monkeypatch.setattr(cli, "clean_up_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["kubeproof", "grade", "lab1", STARTER, "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert f"kubeproof: {error}" in capsys.readouterr().err


# --- selftest --------------------------------------------------------------------------------------


def row(
    name: str, percent: int | None, expected: tuple[str, ...], lost: tuple[str, ...], problem: str = ""
) -> SolutionRow:
    verdict = "graded" if percent is not None else "ungraded"
    score = Decimal(percent) if percent is not None else None
    return SolutionRow(
        name, verdict, score, expected, lost, "exactly these" if expected else "nothing", 12.3, problem
    )


GOOD = [row("reference", 100, (), ()), row("rank-off-by-one", 92, ("creates-pods",), ("creates-pods",))]
BAD = [
    row("keeps-the-clock", 88, ("suspend",), ("suspend", "scaling"), "surplus loss of scaling"),
    row("untyped", None, ("code-quality",), (), "ungraded: etcd ended"),
]


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        (GOOD, 0, ["2 passed, 0 failed", "rank-off-by-one", "creates-pods"]),
        (GOOD + BAD, 1, ["2 passed, 2 failed", "surplus loss of scaling", "ungraded: etcd ended"]),
    ],
    ids=["all as expected", "a surplus and one ungraded"],
)
def test_the_selftest_prints_a_table_and_fails_on_any_difference(
    rows: list[SolutionRow], code: int, says: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graders.cli import selftest as command

    asked: list[SelfTest] = []

    def run(test: SelfTest, _: object) -> list[SolutionRow]:
        asked.append(test)
        return rows

    monkeypatch.setattr(command, "run_selftest", run)
    monkeypatch.setenv("COLUMNS", "200")
    arguments = [
        "selftest",
        "lab1",
        "--focus",
        "--jobs",
        "3",
        "--solution",
        "untyped",
        "--out",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code
    for text in says:
        assert text in done.output
    (test,) = asked
    assert (test.focus, test.jobs, test.only, test.out) == (True, 3, ("untyped",), tmp_path)


def test_fewer_than_one_job_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["selftest", "lab1", "--jobs", "0"]).exit_code == 2
