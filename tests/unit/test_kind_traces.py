"""Nothing of a kind cluster outlives its owner in the Docker engine, whatever killed it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.clusters.kind import traces
from graders.clusters.kind.containers import Containers, Node
from graders.clusters.kind.traces import Trace, new_name, remove_orphans
from graders.faults import InfraFault
from graders.ownership import KIND, OwnedFolder, sweep
from tests.unit.tiny_engine import CLUSTER, TinyEngine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("KUBEPROOF_STATE", str(folder))
    return folder


@pytest.fixture
def engine() -> TinyEngine:
    return TinyEngine()


@pytest.fixture
def host(engine: TinyEngine, tmp_path: Path) -> Iterator[str]:
    with engine.serve(tmp_path) as address:
        yield address


def killed_owner(host: str, cluster: str) -> str:
    """The folder of a cluster whose owner was killed with -9."""
    program = f"""
import os
from graders.clusters.kind.traces import Trace
from graders.ownership import KIND, OwnedFolder
folder = OwnedFolder(KIND, "lab1")
Trace({host!r}, {cluster!r}).write(folder.path)
print(folder.path.name, flush=True)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -9
    return ended.stdout.decode().strip()


def test_the_sweep_after_a_kill_removes_containers_with_their_volumes_and_the_network(
    engine: TinyEngine, host: str, state: Path
) -> None:
    cluster = new_name()
    engine.add(cluster, "control-plane", "worker")
    engine.add("kind", "control-plane")
    engine.containers["kind-control-plane"][CLUSTER] = "kind"
    folder = killed_owner(host, cluster)

    assert sweep() == [folder]

    assert list(engine.containers) == ["kind-control-plane"]
    assert list(engine.networks) == ["kind"]
    gone = [line for line in engine.removals() if "/containers/" in line]
    assert len(gone) == 2
    assert all("v=True" in line and "force=True" in line for line in gone)
    assert not (state / folder).exists()


def test_the_end_of_its_folder_is_the_end_of_a_cluster(engine: TinyEngine, host: str) -> None:
    cluster = new_name()
    with OwnedFolder(KIND, "lab1") as folder:
        Trace(host, cluster).write(folder.path)
        engine.add(cluster, "control-plane")

    assert engine.containers == engine.networks == {}


def test_what_is_busy_goes_a_moment_later(engine: TinyEngine, host: str) -> None:
    engine.add("mine", "control-plane")
    engine.busy = 2

    with Containers(host) as containers:
        containers.remove("mine")

    assert engine.containers == engine.networks == {}


def test_a_container_that_a_killed_kind_had_still_asked_for_goes_too(engine: TinyEngine, host: str) -> None:
    engine.add("mine", "control-plane")
    engine.later = {"mine-worker": {CLUSTER: "mine"}}

    with Containers(host) as containers:
        containers.remove("mine")

    assert engine.containers == {}


def test_what_the_engine_does_not_let_go_is_tried_again_by_the_next_sweep(
    engine: TinyEngine, host: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graders.clusters.kind.containers._REMOVED_WITHIN_S", 0.1)
    cluster = new_name()
    engine.add(cluster, "control-plane")
    engine.busy = 1000
    folder = killed_owner(host, cluster)
    told: list[str] = []

    assert sweep(told.append) == []
    assert told == [told[0]]
    assert f"cluster {cluster} cannot be removed" in told[0]

    engine.busy = 0
    assert sweep() == [folder]
    assert engine.containers == {}


def test_an_engine_that_is_gone_is_not_waited_for(tmp_path: Path, state: Path) -> None:
    folder = killed_owner(f"unix://{tmp_path}/nobody.sock", new_name())

    assert sweep() == [folder]
    assert not (state / folder).exists()


def test_orphans_of_a_state_folder_that_was_emptied_are_known_by_their_names(
    engine: TinyEngine, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan, mine = new_name(), new_name()
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("KUBEPROOF_STATE", str(tmp_path / "elsewhere"))
        somebodys = new_name()
    told: list[str] = []
    for name in (orphan, mine, somebodys, "kind"):
        engine.add(name, "control-plane")
    with OwnedFolder(KIND, "lab1") as folder, Containers(host) as containers:
        Trace(host, mine).write(folder.path)

        remove_orphans(containers, told.append)

        assert set(engine.networks) == {mine, somebodys, "kind"}
        assert {labels[CLUSTER] for labels in engine.containers.values()} == {mine, somebodys, "kind"}
    assert told == [f"removed {orphan}, which a dead run had left in the Docker engine"]


def test_an_orphan_that_does_not_go_is_no_reason_not_to_start(
    engine: TinyEngine, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graders.clusters.kind.containers._REMOVED_WITHIN_S", 0.1)
    engine.add(new_name(), "control-plane")
    engine.busy = 1000
    told: list[str] = []

    with Containers(host) as containers:
        remove_orphans(containers, told.append)

    assert [line for line in told if "which does not let it go" in line] == told != []


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b'{"docker_host": "unix:///x"}',
        json.dumps({"docker_host": "HOST", "cluster": "kind"}).encode(),
        json.dumps({"docker_host": "HOST", "cluster": "kubeproof-000000-000000=x"}).encode(),
    ],
)
def test_a_record_that_names_no_cluster_of_ours_removes_nothing(
    record: bytes, engine: TinyEngine, host: str, tmp_path: Path
) -> None:
    engine.add("kind", "control-plane")
    (tmp_path / "cluster.json").write_bytes(record.replace(b"HOST", host.encode()))

    traces.undo(tmp_path)

    assert engine.asked == []


def test_names_differ_by_state_folder_and_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = new_name(), new_name()
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "other"))
    third = new_name()

    assert first != second
    assert first.split("-")[1] == second.split("-")[1] != third.split("-")[1]
    # kind makes host names of them, with -control-plane behind.
    assert len(first) < 50


def test_nodes_are_told_control_plane_first(engine: TinyEngine, host: str) -> None:
    engine.add("mine", "worker2", "worker", "worker10", "control-plane")

    with Containers(host) as containers:
        found = containers.nodes("mine")

    assert [node.name.removeprefix("mine-") for node in found] == [
        "control-plane",
        "worker",
        "worker2",
        "worker10",
    ]
    assert found[0] == Node("mine-control-plane", "control-plane", running=True)


def test_an_engine_says_what_it_is(engine: TinyEngine, host: str) -> None:
    engine.info = {
        "ServerVersion": "28.2.2",
        "Driver": "overlay2",
        "CgroupVersion": "2",
        "CgroupDriver": "systemd",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
        "MemoryLimit": True,
        "PidsLimit": True,
        "CPUShares": False,
        "MemTotal": 1 << 33,
        "DockerRootDir": "/var/lib/docker",
    }
    engine.add("somebodys", "control-plane", "worker")

    with Containers(host) as containers:
        facts = containers.facts()

    assert (facts.version, facts.storage, facts.cgroups, facts.rootless) == ("28.2.2", "overlay2", 2, True)
    assert facts.limits == {"memory", "pids"}
    assert facts.memory_bytes == 1 << 33
    assert facts.nodes == 2


def test_faults_of_the_engine_are_faults_of_the_infrastructure(
    engine: TinyEngine, host: str, tmp_path: Path
) -> None:
    with pytest.raises(InfraFault, match=r"no Docker engine of this machine answers at unix://.*nobody"):
        Containers(f"unix://{tmp_path}/nobody.sock")
    with Containers(host) as containers, pytest.raises(InfraFault, match="node nowhere cannot be stopped"):
        containers.kill("nowhere")
