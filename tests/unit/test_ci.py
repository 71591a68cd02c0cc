"""`.ci/run` as it is, with programs that only say what they were called with: what runs, what is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.paths import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

MAKE = """#!/bin/sh
echo "$*" >>"$TOLD"
case "$*" in
*"$FAILS"*) [ -z "$FAILS" ] || exit 1 ;;
esac
case "$1" in selftest) echo "3 passed, 0 failed$SKIPPED" ;; esac
"""
PYTHON = """#!/bin/sh
case " $YES " in *" $2-$3 "*) exit 0 ;; esac
exit 1
"""


@dataclass
class Ran:
    code: int
    printed: str
    made: list[str]

    def targets(self) -> list[str]:
        return [words.split()[0] for words in self.made]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    shutil.copy2(REPOSITORY / ".ci" / "run", tmp_path / ".ci" / "run")
    for folder, name, text in (
        ("bin", "make", MAKE),
        ("bin", "apt-get", "#!/bin/sh\n"),
        ("bin", "redis-server", "#!/bin/sh\n"),
        ("bin", "git", "#!/bin/sh\necho c0ffee\n"),
        (".venv/bin", "python", PYTHON),
    ):
        program = tmp_path / folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def run(checkout: Path, *yes: str, **more: str) -> Ran:
    """Run it where `scripts/stages.py` says yes to those questions, each as verb-name."""
    told = checkout / "told"
    environment = {
        **os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "TOLD": str(told),
        "YES": " ".join(yes), "FAILS": "", "SKIPPED": "", "KUBEPROOF_CACHE": str(checkout / "cache"), **more,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=checkout, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, told.read_text().splitlines())


def minutes(ran: Ran) -> dict[str, int]:
    """The minutes that each lab's self-test had."""
    words = [each.split() for each in ran.made if each.startswith("selftest")]
    return {each[1].removeprefix("lab="): int(each[each.index("--budget") + 1]) for each in words}


def test_every_stage_runs_and_is_told_with_its_seconds(checkout: Path) -> None:
    ran = run(checkout, "check-attacks", "check-kind", "ready-lab2")
    assert ran.code == 0, ran.printed
    assert [name for name in ran.targets() if name != "setup"] == [
        ".venv/.ready", "test-fast", "lint-workflows", "selftest", "selftest", "selftest",
        "test-cluster", "test-attacks", "test-kind",
    ]  # fmt: skip
    for stage in (
        "fast",
        "selftest-lab3",
        "selftest-lab2",
        "selftest-lab1",
        "cluster",
        "attacks",
        "kind",
    ):
        assert re.search(rf"^stage {stage} \d+ s of \d+ min$", ran.printed, re.M)
    assert re.search(r"^\d of 45 minutes$", ran.printed, re.M)
    assert "UNPROVEN" not in ran.printed
    assert ran.printed.splitlines()[-1] == "3 passed, 0 failed"


def test_self_tests_share_what_the_limit_leaves(checkout: Path) -> None:
    cold = minutes(run(checkout, "check-attacks", "check-kind", "ready-lab2"))
    assert cold == {"lab3": 10, "lab2": 10, "lab1": 45 - 7 - 1 - 4}
    server = checkout / "cache" / "binaries" / "kubernetes-x" / "kube-apiserver"
    server.parent.mkdir(parents=True)
    server.touch()
    warm = minutes(run(checkout, "check-attacks", "check-kind", "ready-lab2"))
    assert warm == {"lab3": 8, "lab2": 8, "lab1": 25 - 7 - 1 - 4}


def test_the_two_long_labs_take_turns_by_the_commit(checkout: Path) -> None:
    begun = []
    for commit in ("c0ffee", "decade1"):
        (checkout / "bin" / "git").write_text(f"#!/bin/sh\necho {commit}\n")
        (checkout / "told").unlink(missing_ok=True)
        begun.append(list(minutes(run(checkout, "check-attacks", "check-kind", "ready-lab2"))))
    assert begun == [["lab3", "lab2", "lab1"], ["lab2", "lab3", "lab1"]]


def test_a_lab_whose_programs_are_not_there_is_said_not_to_have_run(checkout: Path) -> None:
    ran = run(checkout, "check-attacks", "check-kind", SKIPPED=", 40 skipped")
    assert minutes(ran)["lab2"] == 0
    assert ran.code == 0
    assert "UNPROVEN: lab2 live: its programs are not built here (KUBEPROOF_CI_LAB2=1)" in ran.printed
    assert "UNPROVEN: 40 solutions of lab1: neither graded here nor known by its ledger" in ran.printed
    assert ran.printed.splitlines()[-1] == "3 passed, 0 failed, 40 skipped"


def test_its_programs_are_built_for_who_asks(checkout: Path) -> None:
    assert "setup args=lab2" not in run(checkout).made
    assert "setup args=lab2" in run(checkout, KUBEPROOF_CI_LAB2="1").made


def test_a_stage_that_is_not_proven_runs_as_a_whole_where_there_is_time(checkout: Path) -> None:
    ran = run(checkout, "ready-lab2")
    assert "test-attacks args=--durations=10" in ran.made
    assert "test-kind args=--durations=10" in ran.made
    server = checkout / "cache" / "binaries" / "kubernetes-x" / "kube-apiserver"
    server.parent.mkdir(parents=True)
    server.touch()
    warm = run(checkout, "ready-lab2", "check-attacks")
    assert "test-kind args=--durations=10 -m smoke" in warm.made
    assert "UNPROVEN: kind as a whole: something that it tests has changed" in warm.printed


def test_all_of_everything_has_no_limit(checkout: Path) -> None:
    ran = run(checkout, "check-attacks", "check-kind", KUBEPROOF_CI_WHOLE="1")
    assert [words for words in ran.made if words.startswith("selftest")] == [
        "selftest lab=lab3 args=--again", "selftest lab=lab2 args=--again", "selftest lab=lab1 args=--again",
    ]  # fmt: skip
    assert "test-attacks args=--durations=10" in ran.made
    assert "test-kind args=--durations=10" in ran.made
    assert ran.made[-1] == "test-scale args=--durations=10 -m smoke"


@pytest.mark.parametrize("stage", ["test-fast", "setup", "selftest", "test-cluster"])
def test_what_fails_ends_it(checkout: Path, stage: str) -> None:
    ran = run(checkout, "check-attacks", "check-kind", FAILS=stage)
    assert ran.code != 0
    assert "test-kind" not in ran.targets()
