"""`kubeproof verify` as an instructor types it: a forged report is found, an honest one is confirmed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.attestation.keys import new_keys, private_key
from graders.attestation.signing import sign
from graders.faults import UsageError
from graders.paths import REPOSITORY
from graders.reports.registry import SIGNATURE
from graders.verification import hand_ins
from graders.verification.commits import checked_out
from graders.verification.comparing import differences
from tests.unit.typed_here import typed_here

pytestmark = pytest.mark.processes

COURSE = REPOSITORY / "tests" / "tinycourse"
ESSAY = COURSE / "solutions" / "essay" / "reference"


def kubeproof(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graders", "--course", COURSE, *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `keys`, and honest, signed `results` of the essay in `essay`: 1 of 2 points."""
    top = tmp_path_factory.mktemp("signed")
    shutil.copytree(ESSAY, top / "essay")
    (top / "essay" / "essay.md").write_text("Too short, but etcd.\n")
    done = typed_here(COURSE, "grade", "essay", top / "essay", "--out", top / "results", "--learner", "ada")
    assert done.exit_code == 0, done.output
    secret, _ = new_keys(top / "keys")
    done = typed_here(COURSE, "sign", top / "results", "--key", secret)
    assert done.exit_code == 0, done.output
    return top


class Class:
    """What an instructor has: a folder of reports and one of submissions, by learner."""

    def __init__(self, folder: Path, signed: Path) -> None:
        self.folder, self.signed = folder, signed

    def hand_in(self, learner: str, forge: Callable[[Path], None] = lambda results: None) -> Path:
        results = self.folder / "reports" / learner
        shutil.copytree(self.signed / "results", results)
        shutil.copytree(self.signed / "essay", self.folder / "submissions" / learner)
        forge(results)
        return results

    def verify(self, *options: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
        folders = (self.folder / "reports", self.folder / "submissions")
        done = typed_here(
            COURSE, "verify", "essay", *folders, "--json", "--out", self.folder / "again", *options
        )
        assert isinstance(done.exception, SystemExit | None), done.exception
        document = json.loads(done.stdout)
        assert document["schema"] == "kubeproof/verify/v1"
        return done.exit_code, {each["learner"]: each for each in document["findings"]}

    @property
    def key(self) -> tuple[str, Path]:
        return "--key", self.signed / "keys" / "verifying-key.pem"


@pytest.fixture
def course(tmp_path: Path, signed: Path) -> Class:
    return Class(tmp_path, signed)


def rewrite(results: Path, **changes: Any) -> None:
    path = results / "report.json"
    report = json.loads(path.read_text())
    for each in report["criteria"]:
        each["earned"] = each["points"]
        each["status"] = "passed"
    path.write_text(json.dumps(report | {"total": 2, "percent": 100} | changes))


def without_record(results: Path) -> None:
    rewrite(results)
    shutil.rmtree(results / "bundle")
    (results / SIGNATURE).unlink()


def test_forged_reports_are_found_and_honest_ones_confirmed(course: Class) -> None:
    course.hand_in("ada")
    course.hand_in("eve", rewrite)
    course.hand_in("mallory", lambda results: (results / SIGNATURE).unlink())
    course.hand_in("oscar", lambda results: (results / "report.json").write_text('{"score": 100}'))
    code, found = course.verify(*course.key, "--sample", "1", "--seed", "1")
    assert code == 1
    assert {name: each["judgement"] for name, each in found.items()} == {
        "ada": "confirmed", "eve": "forged", "mallory": "forged", "oscar": "unreadable",
    }  # fmt: skip
    assert found["eve"]["told"] == ["report.json is not the one that was signed"]
    assert found["mallory"]["told"] == ["the report is not signed"]
    assert "it is no report of essay by kubeproof" in found["oscar"]["told"][0]
    assert (found["ada"]["claimed"], found["ada"]["found"]) == ("1/2", "1/2")


def test_without_a_key_the_record_and_a_new_grading_tell(course: Class) -> None:
    course.hand_in("eve", rewrite)
    course.hand_in("mallory", without_record)
    code, found = course.verify()
    assert code == 1
    assert found["eve"]["judgement"] == "differs"
    assert (
        "its own record says otherwise: it claims 2/2, and 1/2 are found: length 1/1, here 0/1"
        in found["eve"]["told"]
    )
    assert found["eve"]["found"] == ""
    assert found["mallory"]["judgement"] == "differs"
    assert found["mallory"]["told"][0] == "it claims 2/2, and 1/2 are found: length 1/1, here 0/1"
    assert found["mallory"]["found"] == "1/2"


def break_record(results: Path) -> None:
    (results / "bundle" / "pages.jsonl").write_text('{"t": "never", "words": 3}\n')


def lose_record(results: Path) -> None:
    (results / "bundle" / "manifest.json").write_text("[]")


def test_a_record_that_cannot_be_read_accuses_nobody_and_is_told(course: Class) -> None:
    """As a table, for a person."""
    course.hand_in("ada", break_record)
    course.hand_in("bob\x1b[31m", lose_record)
    done = kubeproof(
        "verify", "essay", course.folder / "reports", course.folder / "submissions", "--sample", "0"
    )
    assert done.returncode == 0, done.stderr
    for learner in ("ada", "bob"):
        (row,) = (line for line in done.stdout.splitlines() if line.startswith(learner))
        assert re.search(r"consistent +1/2 +its record cannot be judged: ", row)
    assert "2 consistent\n" in done.stdout
    assert "Signatures were not looked at: name your key with --key." in done.stdout
    assert "\x1b[31m" not in done.stdout


def test_a_report_of_another_submission_is_found_without_grading(course: Class) -> None:
    """A good report is signed, but what counts was changed afterwards, or is another learner's."""
    course.hand_in("ada")
    (course.folder / "submissions" / "ada" / "essay.md").write_text("something else")
    course.hand_in("bob")
    shutil.rmtree(course.folder / "submissions" / "bob")
    code, found = course.verify(*course.key, "--sample", "0")
    assert code == 1
    assert found["ada"]["judgement"] == "other submission"
    assert found["bob"]["judgement"] == "unverified"
    assert found["bob"]["told"] == ["no submission of this learner was found"]


def test_a_repository_is_verified_at_the_commit_that_was_signed(course: Class, signed: Path) -> None:
    """Also where it holds what git would run, if it were asked to."""
    results = course.hand_in("ada")
    clone = course.folder / "submissions" / "ada"
    shutil.rmtree(clone)
    (clone / "essay").mkdir(parents=True)
    shutil.copytree(signed / "essay", clone / "essay", dirs_exist_ok=True)
    git = ["git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@b"]
    pwned = course.folder / "pwned"
    subprocess.run([*git, "init", "--quiet"], check=True)
    (clone / ".gitattributes").write_text("* filter=evil\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "hand in"], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    (clone / "essay" / "essay.md").write_text("etcd " * 60)
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", "better, too late"], check=True)
    hook = clone / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
    hook.chmod(0o755)
    for key in ("filter.evil.smudge", "core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook"):
        subprocess.run([*git, "config", key, f"touch {pwned}; cat"], check=True)
    key = private_key((signed / "keys" / "signing-key.pem").read_text(), "")
    sign(results, SIGNATURE, key, {"GITHUB_SHA": commit})
    assert (
        course.verify(*course.key, "--within", "essay", "--sample", "0")[1]["ada"]["judgement"]
        == "consistent"
    )
    # Nothing says which commit: that of today is another submission.
    assert course.verify("--within", "essay", "--sample", "0")[1]["ada"]["judgement"] == "other submission"
    assert not pwned.exists()


def test_a_commit_that_is_not_there_is_told(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "ada.git"], check=True)
    with pytest.raises(UsageError, match=r"there is no commit 'HEAD' here\n  fix: fetch it"):
        checked_out(tmp_path / "ada.git", "HEAD", tmp_path / "files")
    with pytest.raises(UsageError, match="'--upload-pack=x' is no commit"):
        checked_out(tmp_path / "ada.git", "--upload-pack=x", tmp_path / "more")


# --- pairing and comparing -------------------------------------------------------------------------


def test_reports_are_found_as_artifacts_are_downloaded(tmp_path: Path) -> None:
    for place in ("ada/report.json", "bob/kubeproof/report.json", "bob/kubeproof/earlier/report.json"):
        (tmp_path / "r" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "r" / place).write_text("{}")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "ada.tar.gz").write_text("")
    (tmp_path / "s" / "bob.git").mkdir()
    found = hand_ins(tmp_path / "r", tmp_path / "s")
    assert [(e.learner, e.results.name, e.submission and e.submission.name) for e in found] == [
        ("ada", "ada", "ada.tar.gz"), ("bob", "kubeproof", "bob.git"),
    ]  # fmt: skip


def test_two_reports_of_one_learner_are_a_question(tmp_path: Path) -> None:
    for place in ("ada/1", "ada/2"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "report.json").write_text("{}")
    with pytest.raises(
        UsageError, match=r"learner ada has two reports: .*/ada/1 and .*/ada/2\n  fix: leave the one"
    ):
        hand_ins(tmp_path, tmp_path)


def test_no_reports_are_told_with_how_they_should_lie(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no report.json of any learner here\n  fix: .*LEARNER/report.json"):
        hand_ins(tmp_path, tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        hand_ins(tmp_path / "none", tmp_path)


def report(verdict: str = "graded", **earned: float) -> dict[str, Any]:
    criteria = [
        {"id": name, "points": 4, "earned": value, "planned": False} for name, value in earned.items()
    ]
    total = sum(earned.values()) if verdict == "graded" else None
    return {"verdict": verdict, "total": total, "possible": 4 * len(earned), "criteria": criteria}


def test_the_same_points_are_no_difference() -> None:
    assert differences(report(a=4, b=0), report(a=4, b=0)) == ()
    assert differences(report("rejected"), report("rejected")) == ()


def test_other_points_for_the_same_total_are_a_difference() -> None:
    (told,) = differences(report(a=4, b=0), report(a=0, b=4))
    assert told == "it claims 4/8, and 4/8 are found: a 4/4, here 0/4; b 0/4, here 4/4"


def test_a_total_that_its_criteria_do_not_add_up_to_is_a_difference() -> None:
    told = differences(report(a=4, b=0) | {"total": 8}, report(a=4, b=0))
    assert told[0] == "its criteria add up to 4 points, and it claims 8/8"


def test_a_tolerance_is_for_honest_differences_alone() -> None:
    from decimal import Decimal

    assert differences(report(a=4, b=4), report(a=4, b=0), Decimal(4)) == ()
    assert differences(report(a=4, b=4), report(a=4, b=0), Decimal(3)) != ()


def test_a_verdict_is_compared_before_points() -> None:
    assert differences(report(a=4), report("rejected")) == ("it claims to be graded, and is rejected",)
