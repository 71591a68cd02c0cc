"""Measures what the fault proxy costs: time added to a request, and its CPU beside an idle cluster's."""

import contextlib
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from graders.benchmarks.client import Errand
from graders.benchmarks.starts import spread
from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterSpec
from graders.evidence.auditing import AuditRecorder
from graders.evidence.health import ApiHealth
from graders.evidence.recording import Recording
from graders.evidence.watching import WatchRecorder
from graders.evidence.writing import BundleWriter
from graders.faultproxy import FaultProxy, Serving
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.progress import Progress

MOST_ADDED_S = 0.002
MOST_CPU = 0.15
"""What the proxy is meant to stay below: seconds at the median; parts of a core beside an idle cluster's."""

REQUESTS_PER_S = 50
_PAIRS = 200
_WATCHED_S = 5.0
_NAME = "bench-proxy"
_OBJECT = "/api/v1/namespaces/default/configmaps/small"
_WATCHED = {"pods": "/api/v1/pods", "services": "/api/v1/services", "events": "/api/v1/events"}


@dataclass(frozen=True)
class ProxyCost:
    """Seconds of each request, asked in turns; CPU seconds per second, with the share of the proxy's."""

    direct_s: tuple[float, ...]
    proxied_s: tuple[float, ...]
    idle_cpu: float
    proxy_cpu: float

    @property
    def added_s(self) -> float:
        """By how much the median request is slower."""
        return statistics.median(self.proxied_s) - statistics.median(self.direct_s)

    @property
    def slower(self) -> float:
        """How many times as long the median request takes."""
        return statistics.median(self.proxied_s) / statistics.median(self.direct_s)

    @property
    def cpu_ratio(self) -> float:
        """How many times what the idle cluster takes the proxy takes."""
        return self.proxy_cpu / self.idle_cpu

    def as_json(self) -> dict[str, object]:
        """For `--json`: milliseconds, CPU seconds per second, the ratios and what they are meant to be."""
        return {
            "get_ms": {"direct": _in_ms(self.direct_s), "proxied": _in_ms(self.proxied_s)},
            "added_ms": round(self.added_s * 1000, 3),
            "ratio": round(self.slower, 3),
            "requests_per_s": REQUESTS_PER_S,
            "cpu": {"idle_cluster": round(self.idle_cpu, 4), "proxy": round(self.proxy_cpu, 4)},
            "cpu_ratio": round(self.cpu_ratio, 4),
            "meant": {"added_ms": MOST_ADDED_S * 1000, "cpu": MOST_CPU},
        }


def _in_ms(seconds: Sequence[float]) -> dict[str, float]:
    return spread([each * 1000 for each in seconds])


def measure_proxy(runs: int, progress: Progress) -> ProxyCost:
    """Start a cluster with its recorders and a proxy, as a grade does; more `runs` measure longer.

    Raises:
        InfraFault: the cluster does not come up, or a request fails.
    """
    with OwnedFolder(_NAME) as owned, _proxied(owned.path, progress) as place:
        with progress.task("measuring the fault proxy: requests in turns"):
            direct, proxied = place.ask(ports=(place.api_port, place.port), rounds=_PAIRS * runs)
        seconds = _WATCHED_S * runs
        with progress.task("measuring the fault proxy: the cluster at rest"):
            idle = place.cluster_cpu()
            threading.Event().wait(seconds)
            idle_cpu = (place.cluster_cpu() - idle) / seconds
        with progress.task(f"measuring the fault proxy: {REQUESTS_PER_S} requests a second"):
            before, began = place.proxy_cpu(), time.monotonic()
            place.ask(
                ports=(place.port,),
                rounds=int(seconds * REQUESTS_PER_S),
                every_s=1 / REQUESTS_PER_S,
                warm_up=0,
            )
            proxy_cpu = (place.proxy_cpu() - before) / (time.monotonic() - began)
    return ProxyCost(tuple(direct), tuple(proxied), idle_cpu, proxy_cpu)


@dataclass(frozen=True)
class _Place:
    """A cluster behind a proxy that listens on `port`; `thread` is the proxy's."""

    api_port: int
    port: int
    token: str
    ca_file: Path
    thread: threading.Thread

    def ask(
        self, ports: tuple[int, ...], rounds: int, every_s: float = 0.0, warm_up: int = 20
    ) -> list[list[float]]:
        """Have a program of its own ask; gives the seconds of each request, port by port."""
        errand = Errand(ports, _OBJECT, self.token, str(self.ca_file), rounds, every_s, warm_up)
        done = subprocess.run(
            [sys.executable, "-m", "graders.benchmarks.client"],
            input=json.dumps(dataclasses.asdict(errand)),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise InfraFault(f"a request of the benchmark's failed: {done.stderr[-500:]}")
        took: list[list[float]] = json.loads(done.stdout)
        return took

    def proxy_cpu(self) -> float:
        """CPU seconds of the proxy so far."""
        assert self.thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self.thread.ident))

    def cluster_cpu(self) -> float:
        """CPU seconds so far of the control plane and of this process, where the recorders are."""
        own = sum(os.times()[:2])
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                own += sum(process.cpu_times()[:2])
        return own


@contextlib.contextmanager
def _proxied(folder: Path, progress: Progress) -> Iterator[_Place]:
    with contextlib.ExitStack() as opened:
        recording = Recording(opened.enter_context(BundleWriter(folder / "bundle")))
        spec = ClusterSpec(name=_NAME, on_audit=AuditRecorder(recording))
        cluster = opened.enter_context(EmbeddedProvider().provision(spec, progress))
        kube = Kube(cluster.kubeconfig)
        opened.enter_context(ApiHealth(recording, kube))
        opened.enter_context(WatchRecorder(recording, kube, _WATCHED))
        ca_file = folder / "ca.crt"
        ca_file.write_bytes(kube.ca_certificate())
        if cluster.serving is None:
            raise InfraFault(f"provider {cluster.provider} gives the proxy no certificate")
        proxy = opened.enter_context(FaultProxy(Serving(kube.server, ca_file, *cluster.serving), recording))
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        opened.enter_context(proxy.serve(listener, "bench"))
        api_port = int(kube.server.rsplit(":", 1)[1])
        token = _reader(kube)
        yield _Place(api_port, listener.getsockname()[1], token, ca_file, proxy.thread)


def _reader(kube: Kube) -> str:
    """The token of a ServiceAccount that may read the small object."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "small"}, "data": {"a": "b"}})
    kube.create(accounts, {"metadata": {"name": "reader"}})
    kube.create(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
        },
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(kube.create(f"{accounts}/reader/token", request)["status"]["token"])
