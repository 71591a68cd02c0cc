"""What a kind cluster leaves in a Docker engine, and its removal also after the death of its owner.

A cluster's name tells whose it is: it holds a digest of this machine and state folder. Whatever has such a
name and no record in the state folder is an orphan. That covers a machine that was switched off and its
state folder emptied; the record covers everything else.
"""

import hashlib
import json
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from graders.clusters.engine.probing import answers
from graders.clusters.kind.containers import Containers
from graders.faults import InfraFault
from graders.ownership import KIND, NotUndone
from graders.paths import state_folder
from graders.wholefile import write_whole

SCHEMA = "kubeproof/kind-cluster/v1"
_RECORD = "cluster.json"
_NAME = re.compile(r"kubeproof-[0-9a-f]{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class Trace:
    """A cluster, and the engine that it is in."""

    docker_host: str
    cluster: str

    def write(self, folder: Path) -> None:
        """Record it in its owned folder, before anything of it is made."""
        write_whole(folder / _RECORD, json.dumps({"schema": SCHEMA, **asdict(self)}) + "\n", mode=0o600)


def read(folder: Path) -> Trace | None:
    """The record in a folder; None where there is none that can be of ours."""
    try:
        data = json.loads((folder / _RECORD).read_text("utf-8"))
        found = Trace(str(data["docker_host"]), str(data["cluster"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if _NAME.fullmatch(found.cluster) else None


def new_name() -> str:
    """A name for a cluster of ours that nobody has."""
    return f"{_prefix()}{secrets.token_hex(3)}"


def undo(folder: Path) -> None:
    """Remove the cluster recorded in `folder`; `graders.ownership` calls it before it removes the folder.

    An engine that is gone may have taken everything with it; if it comes back, orphans are found by name.

    Raises:
        NotUndone: the engine answers, and does not let something go.
    """
    trace = read(folder)
    if trace is None or not answers(trace.docker_host):
        return
    try:
        with Containers(trace.docker_host) as containers:
            containers.remove(trace.cluster)
    except InfraFault as error:
        raise NotUndone(error.problem) from error


def remove_orphans(containers: Containers, tell: Callable[[str], object]) -> None:
    """Remove the clusters of ours that no folder owns (any more), and tell what became of each.

    Raises:
        InfraFault: the engine does not answer.
    """
    # In this order: a cluster that is being made has its record before its first container.
    there = containers.clusters(_prefix())
    recorded = {trace.cluster for folder in state_folder().glob(f"{KIND}-*") if (trace := read(folder))}
    orphans = sorted(name for name in there - recorded if _NAME.fullmatch(name))
    for name in orphans:
        try:
            containers.remove(name)
        except InfraFault as error:
            tell(f"a dead run left {name} in the Docker engine, which does not let it go: {error.problem}")
        else:
            tell(f"removed {name}, which a dead run had left in the Docker engine")


def _prefix() -> str:
    where = f"{socket.gethostname()}:{state_folder().resolve()}"
    return f"kubeproof-{hashlib.sha256(where.encode()).hexdigest()[:6]}-"
