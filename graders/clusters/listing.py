"""The clusters that daemons keep: each daemon writes a card, everybody else reads it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from graders.faults import UsageError
from graders.model import Cluster
from graders.ownership import owned_folders, start_of
from graders.paths import state_folder
from graders.wholefile import write_whole

SCHEMA = "kubeproof/kept-cluster/v1"
FOLDER = "daemon"
"""Kind of the owned folder of a daemon."""

_CARD = "card.json"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class KeptCluster:
    """One card. `created_at` is in seconds since the epoch; `processes` has pid and start by name.

    `nodes` are containers of the engine at `docker_host`. Until the cluster is ready it has no version, no
    kubeconfig, no processes and no nodes.
    """

    name: str
    provider: str
    daemon_pid: int
    daemon_start: str
    created_at: float
    version: str = ""
    kubeconfig: str = ""
    processes: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    docker_host: str = ""
    nodes: tuple[str, ...] = ()

    @cached_property
    def _held_bytes(self) -> Mapping[str, int]:
        """The memory of the nodes that run."""
        if not self.nodes:
            return {}
        from graders.clusters.kind.nodes import held_bytes  # noqa: PLC0415  (for these cards only)

        return held_bytes(self.docker_host, self.nodes)

    @property
    def state(self) -> str:
        """`starting`, `ready`, or which components are gone."""
        if not self.kubeconfig:
            return "starting"
        gone = [name for name, process in self.processes.items() if not runs(*process)]
        gone += [node for node in self.nodes if node not in self._held_bytes]
        return f"lost {', '.join(gone)}" if gone else "ready"

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the daemon and of everything it started, and what its nodes hold."""
        pids = [self.daemon_pid, *(pid for pid, _ in self.processes.values())]
        return resident_bytes(pids) + sum(self._held_bytes.values())

    def ready(self, cluster: Cluster) -> KeptCluster:
        """The card once the cluster is there."""
        nodes = cluster.real_nodes
        return replace(
            self,
            version=cluster.version,
            kubeconfig=str(cluster.kubeconfig),
            processes=running_children(),
            docker_host=nodes.docker_host if nodes else "",
            nodes=nodes.names() if nodes else (),
        )

    def write(self, folder: Path) -> None:
        """Put the card into the daemon's folder, whole or not at all."""
        write_whole(folder / _CARD, json.dumps({"schema": SCHEMA, **asdict(self)}))

    def as_json(self) -> dict[str, Any]:
        """What `cluster list --json` says of it."""
        return {
            "name": self.name,
            "state": self.state,
            "provider": self.provider,
            "version": self.version,
            "age_s": round(self.age_s, 1),
            "daemon_pid": self.daemon_pid,
            "nodes": list(self.nodes),
            "kubeconfig": self.kubeconfig,
            "memory_bytes": self.memory_bytes,
        }

    @property
    def age_s(self) -> float:
        """Seconds since the daemon was started, never negative."""
        return max(0.0, time.time() - self.created_at)


def check_name(name: str) -> str:
    """`name`, if a cluster may be called that: it becomes part of paths and of what people type.

    Raises:
        UsageError: it is no DNS label, or longer than 40 characters.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a cluster cannot be called {name!r}",
            fix="use lower-case letters, digits and hyphens, at most 40, "
            "with a letter or digit at both ends: `kubeproof cluster up my-cluster`",
        )
    return name


def kept_clusters() -> list[KeptCluster]:
    """Every cluster that a living daemon keeps or starts, by name."""
    prefixes = {
        folder.name.rpartition("-")[0]
        for folder in state_folder().iterdir()
        if folder.name.startswith(f"{FOLDER}-")
    }
    folders = [folder for prefix in prefixes for folder in owned_folders(prefix)]
    cards = [card for card in map(_read, folders) if card is not None]
    return sorted(cards, key=lambda card: card.name)


def kept_cluster(name: str) -> KeptCluster:
    """The cluster of that name.

    Raises:
        UsageError: there is none.
    """
    cards = kept_clusters()
    for card in cards:
        if card.name == name:
            return card
    there = f"there are: {', '.join(card.name for card in cards)}" if cards else "none is running"
    raise UsageError(
        f"there is no cluster {name!r}; {there}", fix=f"start it with `kubeproof cluster up {name}`"
    )


def runs(pid: int, start: str) -> bool:
    """Whether the process that had `pid` and `start` still runs."""
    try:
        return start_of(pid) == start and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of these processes together; those that are gone count nothing."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def running_children(pid: int | None = None) -> dict[str, tuple[int, str]]:
    """Pid and start by name of what process `pid` (None: this one) started and still runs."""
    found = {}
    for child in psutil.Process(pid or os.getpid()).children(recursive=True):
        try:
            found[child.name() if child.name() not in found else f"{child.name()}-{child.pid}"] = (
                child.pid,
                start_of(child.pid),
            )
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def _read(folder: Path) -> KeptCluster | None:
    """The card in `folder`; None between the making of the folder and of the card."""
    try:
        data = json.loads((folder / _CARD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
        return None
    processes = {name: (int(pid), str(start)) for name, (pid, start) in data.pop("processes").items()}
    nodes = tuple(str(node) for node in data.pop("nodes", ()))
    return KeptCluster(**data, processes=processes, nodes=nodes)
