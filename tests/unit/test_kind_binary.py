"""kind itself: the one on PATH if it fits, else downloaded and checked, else built."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from graders.clusters.kind.binary import VERSION, ensure_kind, find_kind
from graders.progress import Silent
from graders.tools import Sources
from graders.tools.release import Servers

GO = """#!/bin/sh
case $1 in
list) echo one ;;
build)
    while [ "$1" != -o ]; do shift; done
    echo built >"$2/kind"
    ;;
esac
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a folder at the front of a PATH that has no other kind."""
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    programs = tmp_path / "programs"
    programs.mkdir()
    others = [each for each in os.environ["PATH"].split(":") if not Path(each, "kind").exists()]
    monkeypatch.setenv("PATH", ":".join([str(programs), *others]))
    return programs


def kind_that_says(folder: Path, text: str) -> Path:
    program = folder / "kind"
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o755)
    return program


def sources(folder: Path) -> Sources:
    """No release answers, and a script plays the go command."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    go = folder / "go"
    go.write_text(GO)
    go.chmod(0o755)
    return Sources(Servers(url, url, url), go)


def test_the_kind_on_path_is_taken_whatever_its_patch_level(alone: Path, tmp_path: Path) -> None:
    minor = VERSION.rpartition(".")[0]
    program = kind_that_says(alone, f"kind {minor}.9 go1.27.1 linux/amd64")
    assert ensure_kind(Silent(), sources=sources(tmp_path)) == program
    assert find_kind() == program


@pytest.mark.parametrize("text", ["kind v0.20.0 go1.20 linux/amd64", "what?", ""])
def test_another_kind_on_path_is_passed_over(alone: Path, tmp_path: Path, text: str) -> None:
    kind_that_says(alone, text)
    assert find_kind() is None
    built = ensure_kind(Silent(), sources=sources(tmp_path))
    assert built.parent != alone
    assert built.read_text() == "built\n"
    assert find_kind() == built


def test_where_releases_cannot_be_reached_it_says_so_and_builds(tmp_path: Path) -> None:
    progress = Silent()
    ensure_kind(progress, sources=sources(tmp_path))
    assert any(line.startswith("no release download of kind") for line in progress.said)
