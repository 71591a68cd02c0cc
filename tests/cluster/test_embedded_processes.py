"""The embedded cluster from outside: what it listens on, whom it lets in, what it says when it breaks."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from graders.clusters.binaries import CORE, ensure_binaries
from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterSpec
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.model import Cluster
from graders.ownership import recorded_pids
from graders.progress import Silent

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Running:
    """A cluster and its processes by name."""

    cluster: Cluster
    folder: Path
    processes: dict[str, psutil.Process]

    def tcp_ports(self, name: str) -> list[int]:
        return [at.port for at in _listening(self.processes[name]) if at.port]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_STATE", str(tmp_path_factory.mktemp("state")))
        with EmbeddedProvider().provision(ClusterSpec(name="processes"), Silent()) as cluster:
            folder = cluster.kubeconfig.parent
            found = [psutil.Process(pid) for pid in recorded_pids(folder)]
            yield Running(cluster, folder, {process.name(): process for process in found})


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_processes_are_those_of_a_control_plane_and_kwok(running: Running) -> None:
    assert set(running.processes) == set(CORE)


def test_every_listening_socket_is_on_loopback(running: Running) -> None:
    listening = {name: _listening(process) for name, process in running.processes.items()}

    assert {at.ip for sockets in listening.values() for at in sockets} == {"127.0.0.1"}
    assert {name for name, sockets in listening.items() if sockets} == {"etcd", "kube-apiserver"}


def test_peers_of_etcd_would_have_to_come_through_the_clusters_private_folder(running: Running) -> None:
    assert len(running.tcp_ports("etcd")) == 1
    assert (running.folder / "peer:0").is_socket()
    assert running.folder.stat().st_mode & 0o077 == 0


def test_etcd_turns_away_whoever_shows_no_certificate(running: Running) -> None:
    (port,) = running.tcp_ports("etcd")
    authority = running.folder / "etcd-ca.crt"
    nobody = ssl.create_default_context(cafile=str(authority))
    apiserver = ssl.create_default_context(cafile=str(authority))
    apiserver.load_cert_chain(running.folder / "etcd-client.crt", running.folder / "etcd-client.key")

    # That the API server gets in shows that the others are kept out by what they lack.
    with httpx.Client(verify=apiserver, trust_env=False) as client:
        assert client.get(f"https://127.0.0.1:{port}/version").status_code == 200
    with httpx.Client(verify=nobody, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"https://127.0.0.1:{port}/version")


def test_etcd_turns_away_the_certificates_of_the_cluster(running: Running) -> None:
    """The grader's own, even: the authority of etcd is another one."""
    (port,) = running.tcp_ports("etcd")
    grader = ssl.create_default_context(cafile=str(running.folder / "etcd-ca.crt"))
    grader.load_cert_chain(running.folder / "grader.crt", running.folder / "grader.key")

    with httpx.Client(verify=grader, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"https://127.0.0.1:{port}/version")


def test_etcd_does_not_speak_plain_http(running: Running) -> None:
    (port,) = running.tcp_ports("etcd")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = connection.recv(4096)

    assert b"etcdserver" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")


def test_nobody_else_may_read_what_the_cluster_keeps(running: Running) -> None:
    secrets = [*running.folder.glob("*.key"), *running.folder.glob("*.kubeconfig")]

    assert len(secrets) > 8
    assert {path.stat().st_mode & 0o077 for path in secrets} == {0}


def test_without_a_reader_the_audit_log_is_a_file_in_the_clusters_folder(running: Running) -> None:
    assert b'"verb":"create"' in (running.folder / "audit.jsonl").read_bytes()


@pytest.mark.parametrize("component", CORE)
def test_a_component_that_ends_is_named_with_the_end_of_its_log(
    component: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = ensure_binaries(Silent()), tmp_path / "binaries"
    broken.mkdir()
    for name in CORE:
        (broken / name).symlink_to(real.path(name))
    (broken / component).unlink()
    (broken / component).write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real.path(component)} --version\n'
        "echo 'panic: broken on purpose' >&2\nexit 7\n"
    )
    (broken / component).chmod(0o755)
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(broken))

    with (
        pytest.raises(InfraFault, match=f"{component} ended with code 7") as fault,
        EmbeddedProvider().provision(ClusterSpec(name="broken"), Silent()),
    ):
        pass

    assert "panic: broken on purpose" in str(fault.value)
    assert "kubeproof doctor" in fault.value.fix
    _nothing_left(state)


def test_the_api_server_is_blamed_when_its_death_shows_as_a_request_without_answer(state: Path) -> None:
    def kill_it(kube: Kube) -> None:
        (folder,) = state.glob("cluster-*")
        (api_server,) = [
            pid for pid in recorded_pids(folder) if psutil.Process(pid).name() == "kube-apiserver"
        ]
        os.kill(api_server, signal.SIGKILL)
        kube.get("/api/v1/namespaces")

    spec = ClusterSpec(name="killed", before_controllers=kill_it)
    with (
        pytest.raises(InfraFault, match="kube-apiserver ended with code -9"),
        EmbeddedProvider().provision(spec, Silent()),
    ):
        pass

    _nothing_left(state)


def _listening(process: psutil.Process) -> list[Any]:
    sockets = process.net_connections(kind="inet")
    return [at.laddr for at in sockets if at.status == psutil.CONN_LISTEN or at.type == socket.SOCK_DGRAM]


def _nothing_left(state: Path) -> None:
    assert [path.name for path in state.iterdir() if path.is_dir()] == []
    ours = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert [words for words in ours if any(str(state) in word for word in words)] == []
