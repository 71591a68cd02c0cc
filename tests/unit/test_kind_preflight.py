"""A machine that cannot run kind nodes is told so before anything starts, with what to type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from graders.clusters.kind import preflight
from graders.clusters.kind.preflight import EngineFacts, Machine, Obstacle, check, obstacles
from graders.faults import InfraFault

GIB = 1 << 30


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, 50 * GIB)


@pytest.fixture
def engine(tmp_path: Path) -> EngineFacts:
    return EngineFacts(
        version="28.2.2",
        storage="overlay2",
        cgroups=2,
        rootless=False,
        limits=frozenset({"cpu", "memory", "pids"}),
        memory_bytes=8 * GIB,
        root=tmp_path,
        nodes=0,
    )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "proc", lambda: "/usr/bin/docker")
    (made.proc / "sys/fs/inotify").mkdir(parents=True)
    watch_limits(made, instances=1024, watches=524288)
    memory(made, 8 * GIB)
    return made


def watch_limits(machine: Machine, instances: int, watches: int) -> None:
    folder = machine.proc / "sys/fs/inotify"
    (folder / "max_user_instances").write_text(f"{instances}\n")
    (folder / "max_user_watches").write_text(f"{watches}\n")


def memory(machine: Machine, available: int) -> None:
    (machine.proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {available >> 10} kB\n")


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())


def one(engine: EngineFacts, machine: Machine, nodes: int = 1) -> Obstacle:
    (found,) = obstacles(engine, nodes, machine)
    return found


def test_a_machine_in_order_has_no_obstacles(engine: EngineFacts, machine: Machine) -> None:
    assert list(obstacles(engine, 3, machine)) == []
    check(engine, 3, machine)


def test_the_fourth_cluster_does_not_start_with_the_usual_limit_of_inotify(
    engine: EngineFacts, machine: Machine
) -> None:
    watch_limits(machine, instances=128, watches=524288)

    third = one(replace(engine, nodes=2), machine)
    fourth = one(replace(engine, nodes=3), machine)

    assert (third.fatal, fourth.fatal) == (False, True)
    assert fourth.detail == "fs.inotify.max_user_instances is 128, with 3 kind nodes running already"
    assert "`sudo sysctl fs.inotify.max_user_instances=1024`" in fourth.fix


def test_few_watches_are_an_obstacle(engine: EngineFacts, machine: Machine) -> None:
    watch_limits(machine, instances=1024, watches=4096)
    found = one(engine, machine)
    assert found.fatal
    assert "sysctl fs.inotify.max_user_watches=65536" in found.fix


@pytest.mark.parametrize(
    ("available", "nodes", "fatal"),
    [(600 << 20, 1, False), (300 << 20, 1, True), (GIB, 3, True), (2 * GIB, 3, False)],
)
def test_memory_is_counted_by_the_node(
    engine: EngineFacts, machine: Machine, available: int, nodes: int, fatal: bool
) -> None:
    memory(machine, available)
    found = one(engine, machine, nodes)
    assert found.fatal is fatal
    assert f"{available >> 20} MiB of memory are available" in found.detail


def test_a_virtual_machine_counts_by_its_own_memory(engine: EngineFacts, machine: Machine) -> None:
    found = one(replace(engine, memory_bytes=500 << 20), machine)
    assert "500 MiB of memory are available" in found.detail
    assert "virtual machine" in found.fix


@pytest.mark.parametrize(("free", "fatal"), [(2 * GIB, False), (GIB // 2, True)])
def test_the_disk_that_counts_is_the_engines(
    engine: EngineFacts, machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, fatal: bool
) -> None:
    disk(monkeypatch, free)
    found = one(engine, machine)
    assert found.fatal is fatal
    assert f"GiB are free in {engine.root}" in found.detail
    assert "docker system prune" in found.fix


def test_a_disk_that_is_not_ours_to_see_is_not_judged(
    engine: EngineFacts, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("shutil.disk_usage", hidden)
    assert list(obstacles(engine, 1, machine)) == []


@pytest.mark.parametrize(
    ("change", "fatal", "detail", "fix"),
    [
        ({"version": "19.03.5"}, True, "the Docker engine is 19.03.5", "use Docker 20.10 or later"),
        ({"storage": "vfs"}, False, "with vfs", "overlay2"),
        ({"rootless": True, "cgroups": 1}, True, "rootless, and the machine has cgroup v1", "unified_cgroup"),
        (
            {"rootless": True, "limits": frozenset({"pids"})},
            True,
            "cannot limit cpu, memory",
            "Delegate=cpu cpuset io memory pids",
        ),
        ({"limits": frozenset({"cpu", "pids"})}, False, "cannot limit memory", "controllers at boot"),
    ],
)
def test_what_an_engine_lacks_is_named_with_its_cure(
    engine: EngineFacts, machine: Machine, change: dict[str, object], fatal: bool, detail: str, fix: str
) -> None:
    found = one(replace(engine, **change), machine)  # type: ignore[arg-type]
    assert found.fatal is fatal
    assert detail in found.detail
    assert fix in found.fix


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "28.2.2", "dev", "29.0.0-rc.1"])
def test_versions_that_are_recent_or_cannot_be_told_are_let_pass(
    engine: EngineFacts, machine: Machine, version: str
) -> None:
    assert list(obstacles(replace(engine, version=version), 1, machine)) == []


def test_without_dockers_command_kind_cannot_work(engine: EngineFacts, machine: Machine) -> None:
    found = one(engine, replace(machine, docker=lambda: None))
    assert found.fatal
    assert "no docker command" in found.detail


def test_a_start_fails_at_once_and_names_all_that_is_in_the_way(
    engine: EngineFacts, machine: Machine
) -> None:
    watch_limits(machine, instances=20, watches=524288)
    memory(machine, 100 << 20)

    with pytest.raises(InfraFault, match="kind nodes cannot run here") as refused:
        check(replace(engine, storage="vfs"), 1, machine)

    said = str(refused.value)
    assert "max_user_instances is 20" in said
    assert "100 MiB of memory" in said
    assert "sysctl" in refused.value.fix
    assert "vfs" not in said


def test_a_machine_without_such_files_is_not_judged_by_them(engine: EngineFacts, tmp_path: Path) -> None:
    nothing = Machine(tmp_path / "no-proc", lambda: "/usr/bin/docker")
    which: Callable[[], str | None] = nothing.docker
    assert which() == "/usr/bin/docker"
    assert list(obstacles(engine, 1, nothing)) == []
    assert preflight.INSTANCES_PER_NODE * 4 > 128
