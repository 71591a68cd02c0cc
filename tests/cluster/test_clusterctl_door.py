"""CLUSTER_CTL on a real control plane: the learner's program at one end, the door at the other."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graders.clusterctl.door import CLIENT, ControlDoor
from graders.clusters.etcddata import copy_data
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from tests.cluster.controlled import WITHIN_S, Controlled, controlled

pytestmark = pytest.mark.cluster

Ask = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    with controlled(tmp_path_factory.mktemp("state"), simulator_per_zone=True) as world:
        yield world


@pytest.fixture
def ask(world: Controlled, tmp_path: Path) -> Iterator[Ask]:
    """Runs CLUSTER_CTL with some words; gives its exit status and what it printed."""
    work = tmp_path / "work"
    work.mkdir()
    with BundleWriter(tmp_path / "bundle") as writer, socket.create_server(("127.0.0.1", 0)) as listener:
        door = ControlDoor(world.control, Recording(writer), "controlled", tmp_path)
        environment = {
            **os.environ,
            "CLUSTER_CTL_DOOR": f"127.0.0.1:{listener.getsockname()[1]}",
            "WORK_DIR": str(work),
        }

        def asked(*words: str | Path) -> tuple[int, str]:
            command = [sys.executable, "-ISB", CLIENT, *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        with door.serve(listener):
            yield asked


def test_it_tells_what_runs_and_understands_nothing_else(ask: Ask) -> None:
    code, said = ask("status")
    assert code == 0
    assert said.splitlines() == [
        "etcd running",
        "kube-apiserver running",
        "kube-controller-manager running",
        "kube-scheduler running",
        "data present",
    ]
    for words in (("wipe", "etcd"), ("stop",), ("stop", "kubeproof"), ("status", "etcd"), ("start", "kwok")):
        code, said = ask(*words)
        assert code == 2, words
        assert "there" in said


def test_it_stops_and_starts_what_it_is_told_to(ask: Ask, world: Controlled) -> None:
    assert ask("stop", "kube-scheduler", "nodes") == (0, "")
    stopped = [name for name in world.control.components if not world.control.alive(name)]
    assert stopped == ["kube-scheduler", "kwok-zone-a", "kwok-zone-b"]
    assert ask("restart", "kube-scheduler", "nodes") == (0, "")
    assert ask("start", "kube-scheduler") == (0, "")
    assert all(world.control.alive(name) for name in world.control.components)


def test_data_are_replaced_whole_or_not_at_all(ask: Ask, world: Controlled, tmp_path: Path) -> None:
    kept, data = world.note(), tmp_path / "work" / "data"
    code, said = ask("replace-data-dir", tmp_path / "work")
    assert code == 1
    assert "not below" in said
    data.mkdir()
    code, said = ask("replace-data-dir", data)
    assert code == 1
    assert "etcd runs" in said
    assert ask("stop", "kube-apiserver", "etcd") == (0, "")
    code, said = ask("replace-data-dir", data)
    assert code == 1
    assert "no data of etcd" in said
    assert ask("status")[1].endswith("data present\n")
    shutil.rmtree(data)
    copy_data(world.control.etcd.data_folders["etcd"], data)
    world.control.wipe("etcd")
    assert ask("status")[1].endswith("data empty\n")
    assert ask("replace-data-dir", data) == (0, "")
    assert ask("start", "etcd", "kube-apiserver") == (0, "")
    world.control.wait_ready(WITHIN_S)
    assert world.noted(kept)
