"""The process that keeps one cluster for people: `kubeproof cluster up` starts it and goes.

It owns the cluster as any grading owns its own, so nothing survives it. Until the starter says that
the cluster may stay, the daemon ends as soon as the starter does.

On stdin it reads the word `stay`. On stdout it writes one JSON object a line: progress
(`say`, `task`, `update`, `end`), then `ready` with its folder, or `failed` with the text and exit code.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from graders.clusters.listing import FOLDER, KeptCluster, check_name
from graders.clusters.provider import ClusterSpec, ProviderOptions
from graders.clusters.registry import provider_named
from graders.clusters.spectext import spec_of
from graders.faults import InfraFault, KubeproofError, UsageError
from graders.interrupt import clean_up_on_signals
from graders.model import Capability
from graders.ownership import AlreadyOwned, OwnedFolder, start_of, sweep
from graders.progress import Task

STAY = b"stay\n"


class DaemonChannel:
    """Tells the starter what goes on; it is also the `Progress` of the start."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._tasks = 0

    def send(self, event: str, **details: object) -> None:
        """Write one event; a starter that is gone is found out by `_until_told`, not here."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._stream.write(json.dumps({"event": event, **details}) + "\n")
            self._stream.flush()

    def say(self, text: str) -> None:
        """One lasting line."""
        self.send("say", text=text)

    @contextlib.contextmanager
    def task(self, text: str, total: float | None = None) -> Iterator[Task]:
        """A line while the block runs."""
        with self._lock:
            self._tasks += 1
            number = self._tasks
        self.send("task", task=number, text=text, total=total)
        ok = False
        try:
            yield _ChannelTask(self, number)
            ok = True
        finally:
            self.send("end", task=number, ok=ok)


class _ChannelTask:
    def __init__(self, channel: DaemonChannel, number: int) -> None:
        self._channel, self._number = channel, number

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        self._channel.send("update", task=self._number, done=done, total=total, detail=detail)


@dataclass(frozen=True)
class ClusterRequest:
    """The cluster to keep. With `workers` it has real nodes alone, that many beside the control plane.

    `spec_text` is what a lab's clusters are like, as `graders.clusters.spectext` writes it.
    """

    name: str
    provider: str
    node_image: str = ""
    workers: int | None = None
    spec_text: str = ""

    def words(self) -> list[str]:
        """The daemon's command line for it."""
        words = [self.name, "--provider", self.provider, "--node-image", self.node_image]
        words += ["--spec-text", self.spec_text] if self.spec_text else []
        return words if self.workers is None else [*words, "--workers", str(self.workers)]

    def spec(self) -> ClusterSpec:
        """What the provider is asked for."""
        whole = spec_of(self.name, self.spec_text)
        return whole if self.workers is None else replace(whole, nodes=(), workers=self.workers)


def keep(request: ClusterRequest, channel: DaemonChannel, stay: threading.Event) -> None:
    """Start the cluster and keep it until a signal ends this process.

    Raises:
        UsageError: a cluster of that name runs, or there is no provider that gives such a one.
        InfraFault: the cluster does not come up.
    """
    sweep(channel.say)
    name, provider = (
        request.name,
        provider_named(request.provider, ProviderOptions(node_image=request.node_image)),
    )
    if request.workers is not None and Capability.REAL_PODS not in provider.capabilities:
        raise UsageError(
            f"--workers is for real nodes, and provider {provider.name} makes none", fix="add --provider kind"
        )
    try:
        owned = OwnedFolder(FOLDER, check_name(name), alone=True)
    except AlreadyOwned as error:
        raise UsageError(
            f"cluster {name} exists already",
            fix=f"use it (`kubeproof cluster kubeconfig {name}`), end it first "
            f"(`kubeproof cluster down {name}`), or give the new one another name",
        ) from error
    with owned:
        card = KeptCluster(name, provider.name, os.getpid(), start_of(os.getpid()), time.time())
        card.write(owned.path)
        with provider.provision(request.spec(), channel) as cluster:
            card.ready(cluster).write(owned.path)
            channel.send("ready", version=cluster.version, kubeconfig=str(cluster.kubeconfig))
            stay.wait()
            _leave_terminal(owned.path / "daemon.log")
            while True:
                signal.pause()


def main() -> int:
    """Run `python -m graders.clusters.daemon NAME --provider PROVIDER`; the exit code is the command's."""
    parser = argparse.ArgumentParser(prog="kubeproof-daemon")
    parser.add_argument("name")
    parser.add_argument("--provider", required=True)
    parser.add_argument("--node-image", default="")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--spec-text", default="")
    arguments = parser.parse_args()
    clean_up_on_signals()
    channel, stay = DaemonChannel(sys.stdout), threading.Event()
    threading.Thread(target=_until_told, args=(stay,), name="starter", daemon=True).start()
    try:
        keep(ClusterRequest(**vars(arguments)), channel, stay)
    except KubeproofError as error:
        channel.send("failed", text=str(error), code=3 if isinstance(error, InfraFault) else 2)
    except Exception:  # whoever waits at the other end has to learn of it
        channel.send("failed", text=traceback.format_exc(), code=3)
    return 0


def _until_told(stay: threading.Event) -> None:
    """A starter that goes without a word was interrupted or killed: so is what it started."""
    if os.read(0, len(STAY)) == STAY:
        stay.set()
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _leave_terminal(log: Path) -> None:
    """What is written from now on goes to a file, for the starter's pipes end with it."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_CREAT | os.O_WRONLY, 0o600)
    for target, source in ((0, nothing), (1, file), (2, file)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
