"""Measures how fast a cluster is ready and how much memory it takes, beside kwokctl's with the same binaries.

All are measured the same way: from nothing to nodes Ready, the default ServiceAccount there and a pod
scheduled; then the resident memory of all processes. They take turns, so that what else the machine does
meets all.
"""

import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from graders.clusters.binaries import Binaries, ensure_binaries
from graders.clusters.control import READY_WITHIN_S
from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterSpec, default_nodes
from graders.clusters.readiness import (
    answers,
    canary_created,
    canary_removed,
    canary_scheduled,
    node_manifest,
    nodes_ready,
)
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.polling import NotYet, await_ready
from graders.process import kill_group, spawn
from graders.progress import Progress
from graders.services import log_tail

SCHEMA = "kubeproof/bench/v1"
OURS = "embedded"
"""What every other kind is measured against."""
_NAME = "bench"


@dataclass(frozen=True)
class Measure:
    """One start: seconds until ready, and resident bytes of each process then."""

    ready_s: float
    memory: dict[str, int]

    @property
    def memory_bytes(self) -> int:
        """Of all processes together."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Comparison:
    """Starts in the order they were made, by kind of cluster; the n-th of each kind belong together."""

    version: str
    sides: Mapping[str, tuple[Measure, ...]]

    def ratios(self, kind: str) -> tuple[float, ...]:
        """Turn by turn, how many times as long as an embedded cluster one of `kind` took."""
        pairs = zip(self.sides[OURS], self.sides[kind], strict=True)
        return tuple(theirs.ready_s / ours.ready_s for ours, theirs in pairs)

    @property
    def others(self) -> tuple[str, ...]:
        """The kinds that are measured against the embedded one."""
        return tuple(kind for kind in self.sides if kind != OURS)

    def as_json(self) -> dict[str, object]:
        """For `--json`: seconds, bytes and the ratios, with their medians."""
        return {
            "schema": SCHEMA,
            "kubernetes": self.version,
            "cores": os.cpu_count(),
            **{
                name: {
                    "ready_s": spread([measure.ready_s for measure in measures]),
                    "memory_bytes": spread([measure.memory_bytes for measure in measures]),
                    "runs": [
                        {"ready_s": round(measure.ready_s, 3), "memory_bytes": measure.memory}
                        for measure in measures
                    ],
                }
                for name, measures in self.sides.items()
            },
            "ratio": {kind: spread(self.ratios(kind)) for kind in self.others},
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of `values`."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def compare(
    runs: int, progress: Progress, more: Mapping[str, Callable[[], Measure]] | None = None
) -> Comparison:
    """One warm-up and `runs` measured starts of each kind, in turns; `more` measures further kinds.

    Raises:
        InfraFault: a cluster does not come up.
    """
    binaries = ensure_binaries(progress, extra=("kwokctl",))
    sides: dict[str, Callable[[], Measure]] = {
        OURS: lambda: measure_embedded(progress),
        "kwokctl": lambda: measure_kwokctl(binaries, progress),
        **(more or {}),
    }
    found: dict[str, list[Measure]] = {name: [] for name in sides}
    for turn in range(runs + 1):
        for name, measure in sides.items():
            result = measure()
            label = f"run {turn} of {runs}" if turn else "warm-up"
            progress.say(f"{name}, {label}: {result.ready_s:.2f} s, {result.memory_bytes / 1e6:.0f} MB")
            if turn:
                found[name].append(result)
    return Comparison(binaries.version, {name: tuple(measures) for name, measures in found.items()})


def measure_embedded(progress: Progress) -> Measure:
    """One embedded cluster, from nothing to ready and away again."""
    started = time.monotonic()
    with EmbeddedProvider().provision(ClusterSpec(name=_NAME), progress):
        ready_s = time.monotonic() - started
        return Measure(ready_s, _memory(os.getpid()))


def measure_kwokctl(binaries: Binaries, progress: Progress) -> Measure:
    """One `kwokctl create cluster`, from nothing to ready and away again.

    Raises:
        InfraFault: it does not come up; holds the end of what kwokctl said.
    """
    nodes = default_nodes()
    with OwnedFolder(_NAME) as owned, progress.task("starting a kwokctl cluster"):
        started = time.monotonic()
        with _kwokctl(binaries, owned) as (process, kubeconfig):
            _until(lambda: _written(kubeconfig, process, owned.path))
            kube = Kube(kubeconfig)
            _until(lambda: answers(kube, "/readyz"))
            for node in nodes:
                manifest = node_manifest(node)
                # By this annotation kwok knows which nodes are its own.
                manifest["metadata"]["annotations"] = {"kwok.x-k8s.io/node": "fake"}
                kube.create("/api/v1/nodes", manifest)
            _until(lambda: canary_created(kube))
            _until(lambda: canary_scheduled(kube))
            canary_removed(kube)
            _until(lambda: nodes_ready(kube, len(nodes)))
            return Measure(time.monotonic() - started, _memory(process.pid))


@contextlib.contextmanager
def _kwokctl(binaries: Binaries, owned: OwnedFolder) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Create a cluster and give the process that holds it, with the kubeconfig that is there once it is made.

    kwokctl leaves daemons behind on purpose. In a process namespace of its own they end with it, whatever
    happens to us. By default it listens on every interface; told so, it keeps to loopback.
    """
    folder = owned.path
    config = folder / "kwokctl.yaml"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
                "kind": "KwokctlConfiguration",
                "options": {"bindAddress": "127.0.0.1"},
            }
        )
    )
    kubeconfig = folder / "kubeconfig"
    create: list[str | Path] = [
        binaries.path("kwokctl"), "create", "cluster", f"--name={_NAME}", "--runtime=binary", "--wait=0s",
        f"--config={config}", f"--kubeconfig={kubeconfig}.new",
        *(
            f"--{name}-binary={binaries.path(program)}"
            for name, program in {
                "etcd": "etcd",
                "kube-apiserver": "kube-apiserver",
                "kube-controller-manager": "kube-controller-manager",
                "kube-scheduler": "kube-scheduler",
                "kwok-controller": "kwok",
            }.items()
        ),
    ]  # fmt: skip
    hold = f'"$@" && mv "{kubeconfig}.new" "{kubeconfig}" && exec sleep infinity'
    enclosure = ["bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--die-with-parent"]
    with (folder / "kwokctl.log").open("wb") as log:
        process = spawn(
            [*enclosure, "--", "/bin/sh", "-c", hold, "sh", *create],
            environment={
                "HOME": str(folder),
                "KWOK_WORKDIR": str(folder / "kwok"),
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            },
            folder=folder,
            stdout=log,
            stderr=log,
        )
    owned.record(process.pid)
    try:
        yield process, kubeconfig
    finally:
        inside: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            inside = psutil.Process(process.pid).children(recursive=True)
        kill_group(process)
        psutil.wait_procs(inside, timeout=5.0)


def _written(kubeconfig: Path, process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.poll() is not None:
        raise InfraFault(
            f"kwokctl ended with code {process.returncode}:\n{log_tail(folder / 'kwokctl.log')}",
            fix="bubblewrap and the kwokctl binary must work here: see `kubeproof doctor`",
        )
    if not kubeconfig.exists():
        raise NotYet("kwokctl has not made its cluster")


def _until(probe: Callable[[], None]) -> None:
    await_ready("the kwokctl cluster", probe, READY_WITHIN_S)


def _memory(root: int) -> dict[str, int]:
    """Resident bytes by name of the control-plane processes below `root`."""
    found: dict[str, int] = {}
    for process in psutil.Process(root).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            name = process.name()
            if name.startswith(("etcd", "kube-", "kwok")) and name != "kwokctl":
                found[name] = found.get(name, 0) + process.memory_info().rss
    return found
