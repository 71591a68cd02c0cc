"""What a submission's go.mod may make the harness do outside the sandbox: fetch published modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.faults import BadSubmission, InfraFault
from graders.progress import Silent
from graders.sandbox.golayer import lay
from graders.sandbox.gomodules import fetch_modules
from graders.sandbox.goruntime import GoRuntime

# A go command that describes the go.mod it finds (which is JSON here) and tells how it was called.
GO = """#!/bin/sh
case "$1 $2" in
"mod edit") cat go.mod ;;
"env GOPROXY") echo "https://one.invalid,direct" ;;
"mod download")
    { env; echo "FILES=$(find . -type f | sort | tr '\\n' ' ')"; } > "$TOLD"
    cat "$SAYS" >&2
    test ! -s "$SAYS" ;;
esac
"""


class Harness:
    """A toolchain that is a script, and a submission."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.submission = folder / "submission"
        self.submission.mkdir()
        go = folder / "root" / "bin" / "go"
        go.parent.mkdir(parents=True)
        go.write_text(GO)
        go.chmod(0o755)
        (folder / "root" / "VERSION").write_text("go1.27.3\ntime 2030-01-01T00:00:00Z\n")
        self.told, self.says = folder / "told", folder / "says"
        self.says.write_text("")
        monkeypatch.setenv("TOLD", str(self.told))
        monkeypatch.setenv("SAYS", str(self.says))

    def describe(self, **described: object) -> None:
        (self.submission / "go.mod").write_text(json.dumps(described))

    def replace(self, path: str) -> None:
        self.describe(Replace=[{"Old": {"Path": "example.com/a"}, "New": {"Path": path}}])

    def fetch(self) -> None:
        runtime = GoRuntime(self.folder / "root", self.folder / "modules", self.folder / "builds")
        fetch_modules(runtime, self.submission, self.folder / "scratch", Silent())


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(tmp_path, monkeypatch)


def test_the_go_command_sees_module_files_only_and_asks_proxies_only(harness: Harness) -> None:
    harness.replace("./lib")
    (harness.submission / "go.sum").write_text("")
    (harness.submission / "go.work").write_text("use ../..")
    (harness.submission / "main.go").write_text("package main")
    (harness.submission / "lib").mkdir()
    (harness.submission / "lib" / "go.mod").write_text("{}")
    harness.fetch()
    told = harness.told.read_text().splitlines()
    assert "FILES=./go.mod ./go.sum ./lib/go.mod " in told
    assert {"GOPROXY=https://one.invalid", "GOVCS=*:off", "GOTOOLCHAIN=local", "GOWORK=off"} <= set(told)
    assert not [line for line in told if line.startswith(("GONOSUMDB=", "GOFLAGS=-mod=mod"))]


@pytest.mark.parametrize("path", ["../secret", "/etc", "a/../../b", "./..", "..\\secret"])
def test_a_replacement_outside_the_submission_is_refused(harness: Harness, path: str) -> None:
    harness.replace(path)
    with pytest.raises(BadSubmission, match="which is outside") as refused:
        harness.fetch()
    assert "copy that module into your submission" in str(refused.value)
    assert not harness.told.exists()


def test_a_folder_that_links_outside_is_not_followed(harness: Harness) -> None:
    secret = harness.folder / "secret"
    secret.mkdir()
    (secret / "go.mod").write_text("{}")
    harness.replace("lib")
    (harness.submission / "lib").symlink_to(secret)
    harness.fetch()
    assert "lib/go.mod" not in harness.told.read_text()


def test_a_submission_without_go_mod_is_told_so(harness: Harness) -> None:
    with pytest.raises(BadSubmission, match="and there is no"):
        harness.fetch()


@pytest.mark.parametrize(
    "said",
    [
        "go: example.com/a@v9: reading https://p/example.com/a/@v/v9.info: 404 Not Found",
        "go: go.mod requires go >= 1.99 (running go 1.27.3; GOTOOLCHAIN=local)",
        "verifying module: checksum mismatch",
    ],
)
def test_wrong_files_are_the_learners_business(harness: Harness, said: str) -> None:
    harness.describe()
    harness.says.write_text(said)
    with pytest.raises(BadSubmission, match="its modules cannot be had") as refused:
        harness.fetch()
    assert said[:40] in str(refused.value)
    assert "succeed on your machine with GOTOOLCHAIN=go1.27.3" in refused.value.fix


def test_a_network_that_is_away_is_not(harness: Harness) -> None:
    harness.describe()
    harness.says.write_text("go: example.com/a@v1: Get https://p: dial tcp: lookup p: no such host")
    with pytest.raises(InfraFault, match="no such host"):
        harness.fetch()


def test_a_private_cache_shares_contents_and_owns_its_index(tmp_path: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    (shared / "00").mkdir(parents=True)
    (shared / "00" / "x-a").write_text("index")
    (shared / "00" / "y-d").write_text("content")
    (shared / "trim.txt").write_text("1")
    lay(shared, private)
    assert (private / "00" / "y-d").readlink() == shared / "00" / "y-d"
    assert not (private / "00" / "x-a").is_symlink()
    assert (private / "00" / "x-a").read_text() == "index"
    # Or Go would throw out what the links point to: it looks old.
    assert int((private / "trim.txt").read_text()) > 1_000_000_000
