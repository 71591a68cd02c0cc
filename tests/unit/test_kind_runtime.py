"""The runtime that leaves out a capability: what it changes before the real one sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graders.clusters.engine import runtime

HELD = ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"]
LEFT = ["CAP_CHOWN", "CAP_KILL"]


@pytest.fixture
def real(tmp_path: Path) -> dict[str, str]:
    """An environment in which the real runtime is a script that says how it was called."""
    program = tmp_path / "bin/runc"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def run(environment: dict[str, str], *arguments: str, folder: Path | None = None) -> str:
    command = [sys.executable, "-IS", runtime.__file__, *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def process() -> dict[str, object]:
    return {"args": ["CAP_SYS_RESOURCE"], "capabilities": {"bounding": list(HELD), "effective": list(HELD)}}


@pytest.mark.parametrize("option", [("--bundle", "{}"), ("-b", "{}"), ("--bundle={}",)])
def test_create_and_run_start_without_it(
    tmp_path: Path, real: dict[str, str], option: tuple[str, ...]
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"ociVersion": "1", "process": process(), "root": {"path": "rootfs"}}))
    words = [word.format(tmp_path) for word in option]
    assert run(real, "--root", "/r", "create", *words, "id") == " ".join(["--root /r create", *words, "id"])
    changed = json.loads(file.read_text())
    assert changed["process"]["capabilities"] == {"bounding": LEFT, "effective": LEFT}
    assert changed["process"]["args"] == ["CAP_SYS_RESOURCE"]
    assert changed["root"] == {"path": "rootfs"}


def test_the_bundle_is_the_working_folder_if_none_is_named(tmp_path: Path, real: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"process": process()}))
    run(real, "run", "id", folder=tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text())
    assert changed["process"]["capabilities"] == {"bounding": LEFT, "effective": LEFT}


def test_exec_runs_without_it(tmp_path: Path, real: dict[str, str]) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process()))
    run(real, "exec", "--process", str(file), "--detach", "id")
    assert json.loads(file.read_text())["capabilities"] == {"bounding": LEFT, "effective": LEFT}


@pytest.mark.parametrize("arguments", [("state", "id"), ("delete", "--force", "id"), ("exec", "id", "ls")])
def test_the_rest_is_handed_on_as_it_is(real: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert run(real, *arguments) == " ".join(arguments)


def test_a_process_without_capabilities_is_left_alone() -> None:
    document: dict[str, object] = {"args": ["sh"]}
    runtime.without(document)
    assert document == {"args": ["sh"]}
