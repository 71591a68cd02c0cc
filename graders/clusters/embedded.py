"""The embedded provider: a real control plane as local processes, with simulated nodes and pods."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from graders.clusters.binaries import ensure_binaries
from graders.clusters.control import EmbeddedControl, control_plane
from graders.clusters.golden import golden_etcd
from graders.clusters.provider import SIMULATED, ClusterSpec, ProviderOptions
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
from graders.model import Capability, Cluster
from graders.ownership import OwnedFolder
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Progress, Task
from graders.services import ServiceDied

SERVING = "/readyz?" + "&".join(
    f"exclude=poststarthook/{hook}"
    for hook in ("rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes")
)
"""Everything is ready but what the API server makes for others: roles and priority classes."""


class EmbeddedProvider:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on loopback."""

    name = "embedded"
    several = True
    caution = ""
    capabilities = frozenset(
        {
            Capability.API,
            Capability.CONTROLLERS,
            Capability.SIMULATED_NODES,
            Capability.ETCD_ACCESS,
            Capability.AUDIT_LOG,
        }
    )

    def shared(self, progress: Progress) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Nothing: what a cluster is made of, each grading starts for itself."""
        del progress
        return contextlib.nullcontext({})

    def ready(
        self, specs: Sequence[ClusterSpec], progress: Progress
    ) -> contextlib.AbstractContextManager[str]:
        """Have the programs, and data to begin with; there is no engine."""
        ensure_binaries(progress)
        for spec in specs:
            _with_data(spec, progress)
        return contextlib.nullcontext("")

    @contextlib.contextmanager
    def provision(self, spec: ClusterSpec, progress: Progress) -> Iterator[Cluster]:
        """Start a cluster; its processes and folder are gone when the block ends.

        Raises:
            InfraFault: a component died or did not get ready; says which, with the end of its log.
        """
        binaries = ensure_binaries(progress)
        spec = _with_data(spec, progress)
        with OwnedFolder("cluster", spec.name) as folder, contextlib.ExitStack() as running:
            with progress.task(f"starting cluster {spec.name} (Kubernetes {binaries.version})") as task:
                control = running.enter_context(control_plane(folder, binaries, spec))
                _Starting(control).run(task)
            commands = control.commands
            yield Cluster(
                name=spec.name,
                kubeconfig=commands.kubeconfig,
                version=binaries.version,
                capabilities=self.capabilities,
                owned=True,
                provider=self.name,
                serving=(commands.proxy.certificate, commands.proxy.key),
                identities=commands.identities,
                control=control,
            )


def _with_data(spec: ClusterSpec, progress: Progress) -> ClusterSpec:
    """The spec with data to begin with, which are made where nobody made them yet."""
    if spec.prepared is None:
        return spec
    data = golden_etcd(spec.prepared.parts, spec.prepared.prepare, progress)
    return replace(spec, prepared=None, golden=data)


class _Starting:
    """One start-up."""

    def __init__(self, control: EmbeddedControl) -> None:
        self.control = control
        self.spec = control.commands.spec

    def run(self, task: Task) -> None:
        """Start everything and wait until it is ready.

        Raises:
            InfraFault: names the component that died, or what did not come.
        """
        try:
            self._bring_up(task)
        except InfraFault as error:
            # A request that got no answer is how the death of the API server shows first.
            self._blame_the_dead(error)
            raise

    def _bring_up(self, task: Task) -> None:
        commands, start = self.control.commands, self.control.start
        task.update(detail="waiting for etcd and the API server")
        for name in (*commands.members, "kube-apiserver"):
            start(name)
        # The client reads the kubeconfig, and its import takes a while: the API server starts meanwhile.
        kube = Kube(commands.kubeconfig)
        with ThreadPoolExecutor(8) as pool:
            # It serves for more than a second before it is ready, for it makes the roles that controllers
            # and scheduler need; kwok and we ourselves do not need them.
            self.control.until(lambda: answers(kube, SERVING))
            for simulator in commands.simulators:
                start(simulator)
            per_zone = self.spec.simulator_per_zone
            nodes = [
                pool.submit(
                    kube.create, "/api/v1/nodes", node_manifest(node, node.zone if per_zone else SIMULATED)
                )
                for node in self.spec.nodes
            ]
            if self.spec.before_controllers is not None:
                self.spec.before_controllers(kube)
            self.control.until(lambda: answers(kube, "/readyz"))
            task.update(detail="waiting for controllers, nodes and a scheduled pod")
            for name in (*commands.controller_managers, "kube-scheduler"):
                start(name)
            canary = pool.submit(self._canary, kube)
            for each in (*nodes, canary):
                each.result()
            self.control.until(lambda: nodes_ready(kube, len(self.spec.nodes)))

    def _canary(self, kube: Kube) -> None:
        """The default ServiceAccount exists and a pod gets scheduled: the last parts to come alive."""
        self.control.until(lambda: canary_created(kube))
        if self.spec.nodes:
            self.control.until(lambda: canary_scheduled(kube))
        canary_removed(kube)

    def _blame_the_dead(self, error: InfraFault) -> None:
        """Connections break before the process that held them can be seen to be dead: look for a while."""
        if isinstance(error, ServiceDied):
            return

        def somebody_died() -> None:
            self.control.check_alive()
            raise NotYet("everything lives")

        with contextlib.suppress(TimedOut):
            wait_for(somebody_died, timeout_s=1.0)


def provider(options: ProviderOptions) -> EmbeddedProvider:
    """The provider; it takes no options."""
    del options
    return EmbeddedProvider()
