"""The build from Go modules: once for all processes, nothing half-made, whatever ends it.

A small script plays the go command, so that these take seconds.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from graders.clusters.binaries import catalog
from graders.clusters.binaries.ensure import ensure_binaries
from graders.faults import InfraFault
from graders.progress import Silent, Task
from graders.tools import Sources
from graders.tools.ensure import store_of
from graders.tools.release import Servers

GO = """#!/bin/sh
# Plays the go command: `list` names three packages, `build` "compiles" them into the folder after -o.
echo "$1" >>"{log}"
case $1 in
list)
    echo "go: downloading example.org/module v1.0.0" >&2
    printf 'one\\ntwo\\nthree\\n'
    ;;
build)
    {while_building}
    printf 'one\\ntwo\\nthree\\n' >&2
    while [ "$1" != -o ]; do shift; done
    out=$2
    shift 2
    for package; do
        name=${{package##*/}}
        [ "$name" != v3 ] || name=server
        echo "$GOOS $GOARCH $CGO_ENABLED $GOTOOLCHAIN $GOFLAGS" >"$out/$name"
    done
    ;;
esac
"""


def closed() -> Servers:
    """Release servers that refuse connections."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    return Servers(url, url, url)


def script_sources(folder: Path, while_building: str = ":") -> Sources:
    go = folder / "go"
    go.write_text(GO.format(log=folder / "log", while_building=while_building))
    go.chmod(0o755)
    return Sources(closed(), go)


def runs(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().split() if log.exists() else []


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEPROOF_BINARIES", raising=False)


class Watched(Silent):
    """Keeps what tasks report."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[tuple[float | None, str]] = []

    def report(self, done: float | None, detail: str) -> None:
        self.updates.append((done, detail))

    @contextmanager
    def task(self, text: str, total: float | None = None) -> Iterator[Task]:
        self.said.append(text if total is None else f"{text} [{total:.0f}]")
        yield WatchedTask(self)


class WatchedTask:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        self._watched.report(done, detail)


def test_programs_are_built_with_settings_that_a_user_cannot_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"GOOS": "plan9", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "1", "GOROOT": "/x"}.items():
        monkeypatch.setenv(name, value)
    binaries = ensure_binaries(Silent(), sources=script_sources(tmp_path))
    arch = catalog.machine_platform().arch
    wanted = f"linux {arch} 0 local -mod=readonly -buildvcs=false\n"
    assert {binaries.path(program).read_text() for program in catalog.CORE} == {wanted}
    assert binaries.source == "cache: built from Go modules"


def test_progress_counts_packages_and_then_links(tmp_path: Path) -> None:
    progress = Watched()
    ensure_binaries(progress, sources=script_sources(tmp_path))
    assert any(line.endswith("from Go modules [3]") for line in progress.said)
    assert progress.updates == [
        (1, "example.org/module v1.0.0"),
        (1, "one"),
        (2, "two"),
        (3, "linking"),
    ]


def test_nothing_is_built_twice(tmp_path: Path) -> None:
    sources = script_sources(tmp_path)
    ensure_binaries(Silent(), sources=sources)
    ensure_binaries(Silent(), sources=sources)
    assert runs(tmp_path) == ["list", "build"]
    ensure_binaries(Silent(), extra=("kwokctl",), sources=sources)
    assert runs(tmp_path) == ["list", "build"] * 2


def maker(folder: Path) -> subprocess.Popen[str]:
    """A kubeproof in a process of its own that wants the programs, built by the script in `folder`."""
    program = f"""
from pathlib import Path
from graders.clusters.binaries.ensure import ensure_binaries
from graders.progress import Silent
from graders.tools import Sources
from graders.tools.release import Servers

progress = Silent()
closed = Servers(*3 * ["{closed().github}"])
ensure_binaries(progress, sources=Sources(closed, Path("{folder / "go"}")))
print(*progress.said, sep="\\n")
"""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def eventually(what: str, holds: Callable[[], bool]) -> None:
    """Poll to a deadline."""
    pause = threading.Event()
    for _ in range(1200):
        if holds():
            return
        pause.wait(0.05)
    pytest.fail(f"within a minute it did not come true that {what}")


def waits_for_lock(pid: int) -> bool:
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_two_processes_at_once_build_once_and_the_second_says_for_whom_it_waits(tmp_path: Path) -> None:
    gate, started = tmp_path / "gate", tmp_path / "started"
    os.mkfifo(gate)
    script_sources(tmp_path, while_building=f'echo >"{started}"; read line <"{gate}"')
    with maker(tmp_path) as first:
        eventually("the first process builds", started.exists)
        with maker(tmp_path) as second:
            eventually("the second process waits", lambda: waits_for_lock(second.pid))
            gate.write_text("go on\n")
            said = [first.communicate()[0], second.communicate()[0]]
    assert runs(tmp_path) == ["list", "build"]
    waiting = f"control-plane binaries: waiting for another kubeproof (pid {first.pid})"
    assert [waiting in lines for lines in said] == [False, True]


def test_a_build_that_is_killed_leaves_nothing_for_the_next_run(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script_sources(tmp_path, while_building=f'echo half >"$GOTMPDIR/half"; echo >"{started}"; exec sleep 600')
    with maker(tmp_path) as killed:
        eventually("it builds", started.exists)
        (go,) = psutil.Process(killed.pid).children()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        _, alive = psutil.wait_procs([go], timeout=30)
        assert alive == []
    store = store_of(catalog.CONTROL_PLANE)
    assert len(list(store.folder.glob(".making-*/tmp/half"))) == 1
    assert set(store.missing(catalog.CORE)) == set(catalog.CORE)

    ensure_binaries(Silent(), sources=script_sources(tmp_path))
    assert {file.name for file in store.folder.iterdir()} == {*catalog.CORE, "manifest.json"}


def test_ctrl_c_during_a_build_ends_the_compiler_and_removes_what_it_made(tmp_path: Path) -> None:
    class Interrupted(Watched):
        def report(self, done: float | None, detail: str) -> None:
            if detail == "interrupt here":
                raise KeyboardInterrupt

    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $$ $! >'{pids}'; echo interrupt here >&2; wait"
    with pytest.raises(KeyboardInterrupt):
        ensure_binaries(Interrupted(), sources=script_sources(tmp_path, script))
    store = store_of(catalog.CONTROL_PLANE)
    assert list(store.folder.glob(".making-*")) == []
    eventually(
        "its processes are gone", lambda: not any(psutil.pid_exists(int(p)) for p in pids.read_text().split())
    )


def test_a_compiler_error_shows_its_last_lines_and_the_other_way(tmp_path: Path) -> None:
    sources = script_sources(tmp_path, while_building='echo "x.go:1: no such thing" >&2; exit 2')
    with pytest.raises(InfraFault) as failed:
        ensure_binaries(Silent(), sources=sources)
    text = str(failed.value)
    assert "go build failed (exit 2):\n    x.go:1: no such thing" in text
    assert "fix: if this machine cannot reach a Go module proxy" in text


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "binaries").write_text("a file where a folder belongs")
    with pytest.raises(InfraFault, match=r"cannot be put into .*\n  fix: make room there, or"):
        ensure_binaries(Silent(), sources=script_sources(tmp_path))
