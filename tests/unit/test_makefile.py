"""`make` hands on what somebody typed as it is: no shell and no make reads what is in a path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graders.paths import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

TELLS = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose `kubeproof` and `pytest` only tell what they were called with."""
    for name in ("Makefile", "scripts", "requirements.lock", "pyproject.toml"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy2
        copy(REPOSITORY / name, tmp_path / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    for name in ("kubeproof", "pytest"):
        (programs / name).write_text(TELLS)
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def called_with(checkout: Path, *words: str) -> list[str]:
    """The words that the last program got."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *words], cwd=checkout, env=kept, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    told: list[str] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(
    "path",
    [
        "my opérator (copy)",
        "it's mine",
        'so "called"',
        "costs $5 or $(lab) or ${HOME}",
        "$(shell touch owned)",
        "`touch owned`; touch owned & touch owned",
        "$(touch owned)",
        "a#b%c, d=e\\f!*?",
        "-x",
        "two  spaces ",
    ],
)
def test_any_path_is_a_submission(checkout: Path, path: str) -> None:
    assert called_with(checkout, "grade", "lab=1", f"submission={path}") == ["grade", "--", "1", path]
    assert not (checkout / "owned").exists()


@pytest.mark.parametrize(("lab", "folder"), [("1", "lab1"), ("lab1", "lab1"), ("assessment", "assessment")])
def test_without_a_path_it_is_the_reference(checkout: Path, lab: str, folder: str) -> None:
    assert called_with(checkout, "grade", f"lab={lab}")[-2:] == [lab, f"solutions/{folder}/reference"]


def test_arguments_are_words_and_may_be_quoted(checkout: Path) -> None:
    args = "--only retries --learner 'Zoë 李' --out \"my results\" --seed=$HOME;touch owned"
    words = ["--only", "retries", "--learner", "Zoë 李", "--out", "my results", "--seed=$HOME;touch", "owned"]
    assert called_with(checkout, "grade", "submission=x", f"args={args}") == ["grade", *words, "--", "1", "x"]
    assert not (checkout / "owned").exists()


def test_tests_take_arguments_too(checkout: Path) -> None:
    assert called_with(checkout, "test-attacks", "args=-k 'one or two'")[-2:] == ["-k", "one or two"]


def test_a_quote_left_open_is_said(checkout: Path) -> None:
    done = subprocess.run(
        ["make", "grade", "submission=x", "args=--learner 'Ada"],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "args: No closing quotation" in done.stderr
    assert "fix: close every quote" in done.stderr
