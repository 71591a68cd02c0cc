"""`kubeproof bench`: both kinds are measured, both keep to loopback, and nothing of either stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from graders.clusters.binaries.ensure import find_binaries
from graders.polling import NotYet, wait_for

pytestmark = pytest.mark.cluster

WITHIN_S = 120.0
KWOKCTL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if find_binaries(extra=("kwokctl",)) is None:
        pytest.skip("kwokctl is built by `make bench`")
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def test_it_measures_both_kinds_and_leaves_nothing(state: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "graders",
            "bench",
            "--runs",
            "1",
            "--grades",
            "0",
            "--class-size",
            "0",
            "--stored",
            "0",
            "--no-kind",
            "--json",
            tmp_path / "bench.json",
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "bench.json").read_text())
    for kind, programs in (("embedded", 5), ("kwokctl", 5)):
        (run,) = data[kind]["runs"]
        assert run["ready_s"] > 0
        assert len(run["memory_bytes"]) == programs
        assert kind in done.stdout
    assert "turn by turn" in done.stdout
    assert _ours(state) == []
    assert [path.name for path in state.iterdir() if path.is_dir()] == []


def test_kwokctl_keeps_to_loopback_and_dies_with_the_benchmark_even_by_sigkill(state: Path) -> None:
    program = (
        "from graders.benchmarks.starts import measure_kwokctl\n"
        "from graders.clusters.binaries import ensure_binaries\n"
        "from graders.progress import Silent\n"
        "while True: measure_kwokctl(ensure_binaries(Silent(), extra=('kwokctl',)), Silent())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ)) as bench:
        listening = wait_for(lambda: _listening(state), timeout_s=WITHIN_S)
        bench.kill()

    assert listening == {"127.0.0.1"}
    wait_for(lambda: _none(state), timeout_s=WITHIN_S)


def _listening(state: Path) -> set[str]:
    """Addresses of kwokctl's processes, once the API server and kwok listen."""
    found: dict[str, set[str]] = {}
    for process in _ours(state):
        try:
            sockets = process.net_connections(kind="inet")
            found[process.name()] = {at.laddr.ip for at in sockets if at.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
    if not all(found.get(name) for name in KWOKCTL):
        raise NotYet(str(found))
    return set().union(*found.values())


def _none(state: Path) -> None:
    if left := _ours(state):
        raise NotYet(str(left))


def _ours(state: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(state) in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found
