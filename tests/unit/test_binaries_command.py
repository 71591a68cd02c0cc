"""`kubeproof setup`: what it refuses, before anything is fetched or built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import typer
from typer.testing import CliRunner

from graders.cli import setup as command
from graders.clusters.binaries import CORE, KUBERNETES
from graders.clusters.registry import VARIABLE
from graders.faults import UsageError
from graders.labneeds import LabNeeds
from graders.paths import cache_folder
from graders.tools import Toolset
from graders.tools.kept import Kept

APP = typer.Typer()
APP.command()(command.setup)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEPROOF_BINARIES", raising=False)


def refusal(*arguments: str) -> str:
    error = CliRunner().invoke(APP, list(arguments)).exception
    assert isinstance(error, UsageError)
    return str(error)


def test_saving_and_loading_at_once_is_refused() -> None:
    assert refusal("--save", "a", "--load", "b") == (
        "--save and --load exclude each other\n  fix: run `kubeproof setup` once for each"
    )


def test_an_archive_that_is_none_stops_the_set_up(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("nothing of the kind")
    assert f"{tmp_path / 'archive'}: not a readable archive" in refusal("--load", str(tmp_path / "archive"))
    assert not (cache_folder() / "runtimes").exists()


def keep(had: list[object], what: object, *_: object) -> MagicMock:
    had.append(what)
    return MagicMock()


def test_a_lab_that_is_not_there_is_named() -> None:
    assert "there is no lab 'lab99'" in refusal("lab99")


def test_the_programs_of_a_lab_are_had_after_what_all_labs_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = MagicMock(spec=Toolset, title="tiny programs")
    had: list[object] = []
    for name in ("binaries", "runtime", "toolchain", "go_runtime", "staticcheck"):
        monkeypatch.setattr(command, f"ensure_{name}", partial(keep, had, name))
    monkeypatch.setattr(command, "ensure", lambda toolset, progress: keep(had, toolset))
    monkeypatch.setattr(command, "needs_of", lambda lab: LabNeeds((own,)))
    assert CliRunner().invoke(APP, ["lab1"]).exit_code == 0
    assert had == ["binaries", "runtime", "toolchain", "go_runtime", "staticcheck", own]


def test_a_course_in_python_alone_needs_no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    had: list[object] = []
    for name in ("binaries", "runtime", "toolchain", "go_runtime", "staticcheck"):
        monkeypatch.setattr(command, f"ensure_{name}", partial(keep, had, name))
    assert CliRunner().invoke(APP, ["--without-go"]).exit_code == 0
    assert had == ["binaries", "runtime"]


@pytest.mark.parametrize(
    ("provider", "arguments", "carried"),
    [
        ("", [], {"kind", "image node", "Go toolchain", "learner runtime"}),
        ("embedded", [], {"Go toolchain", "learner runtime"}),
        ("embedded", ["--without-go"], {"learner runtime"}),
    ],
)
def test_what_is_carried_is_what_gradings_there_need(
    provider: str, arguments: list[str], carried: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("binaries", "runtime", "toolchain", "go_runtime", "staticcheck"):
        monkeypatch.setattr(command, f"ensure_{name}", MagicMock())
    asked: list[Kept] = []

    def load(_: Path, things: list[Kept], _told: object) -> tuple[str, ...]:
        asked.extend(things)
        return ()

    monkeypatch.setattr(command, "load_archive", load)
    monkeypatch.setenv(VARIABLE, provider)
    assert CliRunner().invoke(APP, ["--load", str(tmp_path / "archive"), *arguments]).exit_code == 0
    names = {each.name for each in asked}
    assert names & {"kind", "image node", "Go toolchain", "learner runtime"} == carried


def test_a_named_folder_is_not_passed_on_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in CORE:
        (tmp_path / program).write_text(f"#!/bin/sh\necho Kubernetes {KUBERNETES}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(tmp_path))
    text = refusal("--save", str(tmp_path / "archive"))
    assert "the cache lacks the control-plane binaries" in text
    assert "fix: unset KUBEPROOF_BINARIES and run `kubeproof setup --save FILE` again" in text
    assert not (tmp_path / "archive").exists()
