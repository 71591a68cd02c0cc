"""Whether kind nodes can run on this machine and its engine, and how to mend what is in their way.

The thresholds are of trials with single nodes and three (see the comments), not of anybody's documentation.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from graders.faults import InfraFault

INSTANCES_PER_NODE = 40
"""inotify instances that one node takes: with the usual limit of 128 the fourth does not start."""

INSTANCES_WANTED = 1024
WATCHES_WANTED = 65536
_WATCHES_NEEDED = 8192
_MIB = 1 << 20
_GIB = 1 << 30
_NODE_MIB = 700
"""An idle control plane holds 450 MiB, a worker 90 MiB; the rest is for starting."""

_DISK_NEEDED, _DISK_WANTED = 1 * _GIB, 4 * _GIB
_OLDEST = (20, 10)
"""kind gives every node a cgroup namespace of its own, which older engines cannot."""

_SLOW_STORAGE = ("vfs", "devicemapper", "aufs")


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself; `root` is where it keeps images and containers, in its own view."""

    version: str
    storage: str
    cgroups: int
    rootless: bool
    limits: frozenset[str]
    """Of memory, pids and cpu: those that the engine can limit."""
    memory_bytes: int
    root: Path
    nodes: int
    """kind nodes that run already, anybody's."""

    @classmethod
    def read(cls, info: Mapping[str, Any], nodes: int) -> Self:
        """The facts of an engine whose `docker info` is `info`.

        Raises:
            KeyError, TypeError, ValueError: it is not such an answer.
        """
        limits = {"memory": "MemoryLimit", "pids": "PidsLimit", "cpu": "CPUShares"}
        able = info["CgroupDriver"] != "none"
        return cls(
            version=str(info["ServerVersion"]),
            storage=str(info["Driver"]),
            cgroups=int(info.get("CgroupVersion") or 1),
            rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
            limits=frozenset(name for name, key in limits.items() if able and info.get(key)),
            memory_bytes=int(info["MemTotal"]),
            root=Path(info["DockerRootDir"]),
            nodes=nodes,
        )


@dataclass(frozen=True)
class Machine:
    """Where to look; tests give folders of their own."""

    proc: Path = Path("/proc")
    docker: Callable[[], str | None] = lambda: shutil.which("docker")


@dataclass(frozen=True)
class Obstacle:
    """Something in the way of kind nodes: `fatal` ones keep a cluster from starting."""

    detail: str
    fix: str
    fatal: bool = True


def check(engine: EngineFacts, nodes: int = 1, machine: Machine | None = None) -> None:
    """See that `nodes` more kind nodes can run.

    Raises:
        InfraFault: they cannot; names everything that is in the way, with what to do about it.
    """
    fatal = [each for each in obstacles(engine, nodes, machine or Machine()) if each.fatal]
    if fatal:
        raise InfraFault(
            "kind nodes cannot run here: " + "; ".join(each.detail for each in fatal),
            fix="; ".join(each.fix for each in fatal),
        )


def obstacles(engine: EngineFacts, nodes: int, machine: Machine) -> Iterator[Obstacle]:
    """Everything in the way of `nodes` more kind nodes, or that makes them slow."""
    if machine.docker() is None:
        yield Obstacle(
            "there is no docker command, through which kind works",
            "install Docker's command line (on Debian and Ubuntu: docker.io or docker-cli)",
        )
    yield from _engine(engine)
    yield from _inotify(engine, nodes, machine.proc)
    yield from _memory(engine, nodes, machine.proc)
    yield from _disk(engine)


def _engine(engine: EngineFacts) -> Iterator[Obstacle]:
    numbers = engine.version.split(".")[:2]
    if all(number.isdecimal() for number in numbers) and tuple(map(int, numbers)) < _OLDEST:
        yield Obstacle(f"the Docker engine is {engine.version}", "use Docker 20.10 or later")
    if engine.storage in _SLOW_STORAGE:
        yield Obstacle(
            f"the Docker engine keeps images with {engine.storage}, which copies or is no longer maintained",
            "use the storage driver overlay2, on a file system such as ext4 or xfs",
            fatal=False,
        )
    if engine.rootless and engine.cgroups < 2:
        yield Obstacle(
            "the Docker engine is rootless, and the machine has cgroup v1",
            "boot with systemd.unified_cgroup_hierarchy=1, or use an engine that runs as root",
        )
    elif missing := sorted({"cpu", "memory", "pids"} - engine.limits):
        whose = "`Delegate=cpu cpuset io memory pids` for user@.service (systemd), then log in anew"
        yield Obstacle(
            f"the Docker engine cannot limit {', '.join(missing)}",
            f"set {whose}" if engine.rootless else "enable these cgroup controllers at boot",
            fatal=engine.rootless,
        )


def _inotify(engine: EngineFacts, nodes: int, proc: Path) -> Iterator[Obstacle]:
    folder = proc / "sys/fs/inotify"
    wanted = {"max_user_instances": INSTANCES_WANTED, "max_user_watches": WATCHES_WANTED}
    needed = {
        "max_user_instances": INSTANCES_PER_NODE * (engine.nodes + nodes),
        "max_user_watches": _WATCHES_NEEDED,
    }
    for name, enough in wanted.items():
        limit = _number(folder / name)
        if limit is not None and limit < enough:
            yield Obstacle(
                f"fs.inotify.{name} is {limit}, with {engine.nodes} kind nodes running already",
                f"`sudo sysctl fs.inotify.{name}={enough}` (put it into /etc/sysctl.d to keep it)",
                fatal=limit < needed[name],
            )


def _memory(engine: EngineFacts, nodes: int, proc: Path) -> Iterator[Obstacle]:
    available = _available(proc / "meminfo")
    # Of an engine in a virtual machine we know only how much that has.
    there = min(available, engine.memory_bytes) if available is not None else engine.memory_bytes
    if there < _NODE_MIB * nodes * _MIB:
        yield Obstacle(
            f"{there // _MIB} MiB of memory are available, and {nodes} kind nodes take about "
            f"{_NODE_MIB * nodes}",
            "end other programs, or give the engine's virtual machine more memory",
            fatal=there < _NODE_MIB * nodes * _MIB // 2,
        )


def _disk(engine: EngineFacts) -> Iterator[Obstacle]:
    try:
        free = shutil.disk_usage(engine.root).free
    except OSError:
        return  # It is in a virtual machine, or not ours to see.
    if free < _DISK_WANTED:
        yield Obstacle(
            f"{free / _GIB:.1f} GiB are free in {engine.root}, where the Docker engine keeps everything",
            "`docker system prune`, or move the engine's data-root to a bigger disk",
            fatal=free < _DISK_NEEDED,
        )


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text("ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) << 10 if found else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return None
