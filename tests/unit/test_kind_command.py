"""kind runs with nothing of the user's own in its reach, and what it says of a failure is kept."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.clusters.kind import command
from graders.clusters.kind.command import Kind, KindFailed
from graders.faults import InfraFault
from tests.unit.ending import ended

HOST = "unix:///engine.sock"
Make = Callable[[str], Kind]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A `kind` that is a shell script, with an owned folder beside it."""

    def make(script: str) -> Kind:
        program, folder = tmp_path / "kind", tmp_path / "owned"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        folder.mkdir()
        return Kind(program, HOST, folder)

    return make


def created(kind: Kind) -> list[str]:
    lines: list[str] = []
    kind.create("kubeproof-0", Path("/owned/kind.json"), "nodes:1", lines.append)
    return lines


def test_of_the_users_settings_it_sees_only_where_programs_are(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "KUBECONFIG",
        "KIND_EXPERIMENTAL_PROVIDER",
        "KIND_CLUSTER_NAME",
        "HTTPS_PROXY",
        "DOCKER_CONTEXT",
    ):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("PATH", "/somewhere/first", prepend=":")
    kind = make("env")

    seen = dict(line.partition("=")[::2] for line in created(kind))

    assert "mine" not in seen.values()
    assert seen["DOCKER_HOST"] == HOST
    assert seen["HOME"] == seen["TMPDIR"] == str(kind.folder)
    assert seen["PATH"].startswith("/somewhere/first:")
    # Debian keeps what Docker needs where users do not look.
    assert "/usr/sbin" in seen["PATH"].split(":")
    assert seen["KIND_EXPERIMENTAL_DOCKER_NETWORK"] == "kubeproof-0"


def test_a_cluster_is_asked_for_by_name_image_and_a_kubeconfig_of_our_own(make: Make) -> None:
    kind = make('echo "$@"')

    (words,) = created(kind)

    assert words.split() == [
        "create",
        "cluster",
        "--name",
        "kubeproof-0",
        "--image",
        "nodes:1",
        "--config",
        "/owned/kind.json",
        "--kubeconfig",
        str(kind.folder / "kind.kubeconfig"),
    ]


def test_a_failure_has_been_told_line_by_line(make: Make) -> None:
    lines: list[str] = []
    kind = make("echo ' • Preparing nodes 📦  ...' >&2; echo 'ERROR: no room'; exit 1")

    with pytest.raises(KindFailed, match="`kind create cluster` ended with code 1"):
        kind.create("x", Path("x"), "x", lines.append)

    assert lines == [" • Preparing nodes 📦  ...", "ERROR: no room"]


def test_one_that_hangs_is_ended_with_all_it_started(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CREATED_WITHIN_S", 0.5)
    kind = make(f"sleep 600 & echo $! > {tmp_path}/pid; wait")

    with pytest.raises(InfraFault, match="`kind create cluster` did not end within 0 s"):
        created(kind)

    child = int((tmp_path / "pid").read_text())
    assert ended(child)


def test_images_are_loaded_into_the_nodes_that_are_named(make: Make) -> None:
    kind = make('test "$*" = "load docker-image mine:1 base:2 --name c --nodes c-worker,c-worker2" || exit 9')

    kind.load("c", ["mine:1", "base:2"], ["c-worker", "c-worker2"])

    with pytest.raises(InfraFault, match="other:1 cannot be loaded into the nodes"):
        kind.load("c", ["other:1"], ["c-worker"])
