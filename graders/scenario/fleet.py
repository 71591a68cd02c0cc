"""The clusters of a run: each live one has its own recorders, and its name stands in all they record."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace

from graders.clusters.provider import ClusterProvider, ClusterSpec, check_needs
from graders.evidence.auditing import AuditRecorder
from graders.evidence.health import ApiHealth
from graders.evidence.manifest import ClusterInfo
from graders.evidence.recording import Recording
from graders.evidence.watching import WatchRecorder
from graders.kube.client import Kube, kube_of
from graders.model import Capability, Cluster
from graders.progress import Progress


@dataclass(frozen=True)
class LiveCluster:
    """A running cluster and what witnesses it: audit log, watches (of nothing yet), health of its API."""

    cluster: Cluster
    kube: Kube
    audit: AuditRecorder
    watches: WatchRecorder
    health: ApiHealth

    @property
    def name(self) -> str:
        """What its records have in `cluster`."""
        return self.cluster.name


class Fleet:
    """Starts clusters of one provider. Safe to use from many threads; clusters start one call at a time.

    Two calls at once would slow each other and everything that is timed meanwhile; what one call names
    starts side by side.
    """

    def __init__(
        self,
        provider: ClusterProvider,
        recording: Recording,
        progress: Progress,
        hold: Callable[[Cluster], None] | None = None,
    ) -> None:
        """`hold` is called with the first cluster while it still runs, when what it was for is over."""
        self._provider = provider
        self._recording = recording
        self._progress = progress
        self._hold = hold
        self._starting = threading.Lock()
        self.engine = ""
        """Address of the Docker engine that holds real nodes; empty where there are none."""
        self.first_start_s = 0.0
        """How long the first call took to start its clusters."""

    @property
    def several(self) -> bool:
        """Whether clusters cost so little that what disturbs everybody gets one of its own."""
        return self._provider.several

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its clusters can show, as far as that is known before one runs."""
        return self._provider.capabilities

    @contextmanager
    def ready(self, *specs: ClusterSpec) -> Iterator[None]:
        """Have what these clusters are made of: while the block runs, none waits for a download or a build.

        Raises:
            InfraFault: something cannot be had, or there is no room for all of them at once.
        """
        with self._provider.ready(specs, self._progress) as self.engine:
            yield

    @contextmanager
    def start(self, *specs: ClusterSpec) -> Iterator[tuple[LiveCluster, ...]]:
        """Clusters that run, and are witnessed, while the block does; in the order of `specs`.

        Raises:
            InfraFault: one does not come up. UsageError: one cannot show what it must.
        """
        with ExitStack() as running:
            with self._starting:
                since = time.monotonic()
                live = self._start(specs, running)
                first = not self.first_start_s
                if first:
                    self.first_start_s = round(time.monotonic() - since, 3)
            yield live
            if first and live and self._hold is not None:
                self._hold(live[0].cluster)

    def _start(self, specs: tuple[ClusterSpec, ...], running: ExitStack) -> tuple[LiveCluster, ...]:
        if len(specs) == 1:
            return (running.enter_context(self._live(specs[0])),)
        blocks = [self._live(spec) for spec in specs]
        with ThreadPoolExecutor(max(1, len(blocks))) as pool:
            entered = [pool.submit(block.__enter__) for block in blocks]
        for block, future in zip(blocks, entered, strict=True):
            if future.exception() is None:
                running.push(block)
        return tuple(future.result() for future in entered)

    def _live(self, spec: ClusterSpec) -> AbstractContextManager[LiveCluster]:
        return _live(self._provider, spec, self._recording, self._progress)


@contextmanager
def _live(
    provider: ClusterProvider, spec: ClusterSpec, recording: Recording, progress: Progress
) -> Iterator[LiveCluster]:
    audit = AuditRecorder(recording, spec.name)
    with provider.provision(replace(spec, on_audit=audit), progress) as cluster:
        check_needs(spec.needs, cluster.capabilities, provider.name)
        shown = tuple(sorted(cluster.capabilities))
        recording.clusters[spec.name] = ClusterInfo(cluster.provider, cluster.version, shown)
        kube = kube_of(cluster)
        seen = cluster.guest.owns if cluster.guest is not None else lambda _: True
        with (
            ApiHealth(recording, kube, cluster.own_namespace, cluster=spec.name) as health,
            WatchRecorder(recording, kube, {}, cluster=spec.name, only=seen) as watches,
        ):
            yield LiveCluster(replace(cluster, name=spec.name), kube, audit, watches, health)
