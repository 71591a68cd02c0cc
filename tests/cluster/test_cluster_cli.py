"""`kubeproof cluster`, as a person uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from graders.clusters.binaries import CORE, ensure_binaries
from graders.kube.client import Kube
from graders.ownership import recorded_pids
from graders.polling import NotYet, wait_for
from graders.progress import Silent

pytestmark = pytest.mark.cluster

WITHIN_S = 60.0
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def kubeproof(state: Path, tmp_path: Path) -> Iterator[Command]:
    """Runs `kubeproof cluster …`; what a failed test leaves running is ended."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "graders", "cluster", *words],
            env={**os.environ, "KUBEPROOF_STATE": str(state), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    yield run
    for cluster in json.loads(run("list", "--json").stdout)["clusters"]:
        os.kill(cluster["daemon_pid"], signal.SIGTERM)


def test_a_cluster_from_up_to_down(kubeproof: Command, state: Path) -> None:
    up = kubeproof("up", "demo")
    assert up.returncode == 0, up.stderr
    path = kubeproof("kubeconfig", "demo").stdout.strip()
    assert f"export KUBECONFIG={path}" in up.stdout
    assert "kubeproof cluster down demo" in up.stdout
    assert "starting cluster demo" in up.stderr

    kube = Kube(Path(path))
    nodes = kube.get("/api/v1/nodes")["items"]
    assert len(nodes) == 4
    assert kube.create("/api/v1/namespaces", {"metadata": {"name": "mine"}})["metadata"]["uid"]

    (row,) = json.loads(kubeproof("list", "--json").stdout)["clusters"]
    assert row["state"] == "ready"
    assert row["version"] == kube.get("/version")["gitVersion"]
    assert (row["name"], row["kubeconfig"]) == ("demo", path)
    assert row["memory_bytes"] > 100e6
    table = kubeproof("list").stdout
    assert all(word in table for word in ("demo", "ready", row["version"], str(row["daemon_pid"]), "MB"))
    (cluster,) = state.glob("cluster-demo-*")
    assert b'"verb":"create"' in (cluster / "audit.jsonl").read_bytes()

    again = kubeproof("up", "demo")
    assert again.returncode == 2
    assert "cluster demo exists already" in again.stderr
    assert "kubeproof cluster down demo" in again.stderr
    assert kube.get("/api/v1/namespaces/mine")

    processes = [psutil.Process(pid) for pid in (row["daemon_pid"], *recorded_pids(cluster))]
    assert len(processes) == 1 + len(CORE)
    down = kubeproof("down", "demo")
    assert (down.returncode, down.stdout) == (0, "cluster demo is gone\n")
    _dead(processes)
    assert _folders(state) == []
    assert "no cluster is running" in kubeproof("list").stdout


def test_a_cluster_that_lost_a_component_is_listed_as_such_and_dies_with_its_keeper(
    kubeproof: Command, state: Path
) -> None:
    assert kubeproof("up").returncode == 0
    (row,) = json.loads(kubeproof("list", "--json").stdout)["clusters"]
    (folder,) = state.glob("cluster-default-*")
    processes = {psutil.Process(pid).name(): psutil.Process(pid) for pid in recorded_pids(folder)}

    processes["kube-scheduler"].kill()
    wait_for(lambda: _dead([processes["kube-scheduler"]]), timeout_s=WITHIN_S)
    (row,) = json.loads(kubeproof("list", "--json").stdout)["clusters"]
    assert row["state"] == "lost kube-scheduler"

    os.kill(row["daemon_pid"], signal.SIGKILL)
    wait_for(lambda: _dead(list(processes.values())), timeout_s=WITHIN_S)
    assert json.loads(kubeproof("list", "--json").stdout)["clusters"] == []
    left = _folders(state)
    assert len(left) == 2

    swept = kubeproof("sweep")
    assert swept.returncode == 0
    assert [line for line in swept.stdout.splitlines() if line.startswith("removed")] == [
        f"removed {name}" for name in left
    ]
    assert _folders(state) == []
    assert kubeproof("sweep").stdout == "nothing was left over\n"


def test_a_start_that_fails_says_why_and_leaves_nothing(
    kubeproof: Command, state: Path, tmp_path: Path
) -> None:
    real, broken = ensure_binaries(Silent()), tmp_path / "binaries"
    broken.mkdir()
    for name in CORE:
        (broken / name).symlink_to(real.path(name))
    (broken / "etcd").unlink()
    (broken / "etcd").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real.path("etcd")} --version\necho no disk >&2\nexit 1\n'
    )
    (broken / "etcd").chmod(0o755)

    up = kubeproof("up", KUBEPROOF_BINARIES=str(broken))

    assert up.returncode == 3
    assert "etcd ended with code 1" in up.stderr
    assert "no disk" in up.stderr
    assert "Traceback" not in up.stderr
    assert _folders(state) == []


@pytest.mark.parametrize("name", ["Big", "-x", "x-", "a.b", "a/b", "..", "a" * 41, "a\n", "é"])
def test_a_name_that_is_no_label_is_refused_before_anything_starts(
    kubeproof: Command, state: Path, name: str
) -> None:
    up = kubeproof("up", "--", name)

    assert up.returncode == 2
    assert "a cluster cannot be called" in up.stderr
    assert "lower-case letters, digits and hyphens" in up.stderr
    assert not state.exists() or _folders(state) == []


@pytest.mark.parametrize("command", ["down", "kubeconfig"])
def test_a_cluster_that_is_not_there_is_named_with_what_to_type(kubeproof: Command, command: str) -> None:
    done = kubeproof(command, "nowhere")

    assert done.returncode == 2
    assert "there is no cluster 'nowhere'; none is running" in done.stderr
    assert "kubeproof cluster up nowhere" in done.stderr


def test_a_provider_that_is_not_there_is_refused(kubeproof: Command, state: Path) -> None:
    up = kubeproof("up", "--provider", "minikube")

    assert up.returncode == 2
    assert "there is no cluster provider 'minikube'" in up.stderr
    assert _folders(state) == []


def test_python_files_in_the_folder_one_stands_in_are_not_run(
    kubeproof: Command, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person may well stand in a learner's submission."""
    trap = tmp_path / "submission"
    trap.mkdir()
    for module in ("yaml", "psutil", "argparse", "json", "typing"):
        (trap / f"{module}.py").write_text(f"open({str(tmp_path / 'trapped')!r}, 'w')\nraise SystemExit(9)\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "kubeproof", "cluster", "up", "--provider", "minikube"],
        env={**os.environ, "KUBEPROOF_STATE": str(state)},
        cwd=trap,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "there is no cluster provider 'minikube'" in done.stderr
    assert not (tmp_path / "trapped").exists()


def _folders(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir() if path.is_dir())


def _dead(processes: list[psutil.Process]) -> None:
    for process in processes:
        # What nobody has waited for yet keeps its pid but is dead.
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            raise NotYet(f"{process} still runs")
