"""The kind provider: real nodes as containers of a Docker engine, and simulated ones beside them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from graders.clusters.binaries import ensure_binaries
from graders.clusters.containment import CAUTION
from graders.clusters.engine.dockerd import running_engine
from graders.clusters.engine.engine import VARIABLES
from graders.clusters.engine.probing import UNIX, answering_engine
from graders.clusters.kind.binary import ensure_kind
from graders.clusters.kind.command import Kind
from graders.clusters.kind.containers import Containers
from graders.clusters.kind.preflight import check
from graders.clusters.kind.starting import Parts, Starting
from graders.clusters.kind.traces import remove_orphans
from graders.clusters.nodeimages.image import ensure_node_image
from graders.clusters.provider import (
    IDENTITIES,
    PREPARED,
    STAGES,
    ClusterSpec,
    ProviderOptions,
    check_needs,
    check_plain,
)
from graders.faults import InfraFault
from graders.model import Capability, Cluster
from graders.ownership import KIND, OwnedFolder
from graders.progress import Progress


class KindProvider:
    """Kubernetes in Docker, driven through the programs kind and docker.

    A spec without simulated nodes gives a cluster of real ones alone, for pods that really run; one with them
    keeps pods off the real nodes.
    """

    name = "kind"
    several = False
    caution = CAUTION
    capabilities = frozenset(
        {
            Capability.API,
            Capability.CONTROLLERS,
            Capability.SIMULATED_NODES,
            Capability.REAL_PODS,
            Capability.AUDIT_LOG,
            Capability.NETWORK_POLICY,
        }
    )
    """Which of them a cluster has depends on its spec and on the node image."""

    def __init__(self, node_image: str = "") -> None:
        """Use `node_image`, or the pinned one."""
        self._node_image = node_image

    @contextlib.contextmanager
    def ready(self, specs: Sequence[ClusterSpec], progress: Progress) -> Iterator[str]:
        """Have an engine with the node image in it, and the programs; gives the address of the engine.

        Raises:
            InfraFault, UsageError: as for `provision`.
        """
        with contextlib.ExitStack() as running:
            containers = self._containers(specs, running, progress)
            for spec in specs:
                self._parts(spec, containers, progress)
            yield containers.host

    @contextlib.contextmanager
    def provision(self, spec: ClusterSpec, progress: Progress) -> Iterator[Cluster]:
        """Start a cluster; its containers, their volumes and its network are gone when the block ends.

        Raises:
            InfraFault: there is no engine, the machine cannot run nodes, or the cluster does not get ready.
            UsageError: the lab needs what no kind cluster has.
        """
        with contextlib.ExitStack() as running:
            containers = self._containers([spec], running, progress)
            remove_orphans(containers, progress.say)
            parts = self._parts(spec, containers, progress)
            folder = running.enter_context(OwnedFolder(KIND, spec.name))
            kind = Kind(parts.binary, containers.host, folder.path)
            starting = Starting(spec, parts, kind, folder, running)
            yield starting.run(progress)

    def _containers(
        self, specs: Sequence[ClusterSpec], running: contextlib.ExitStack, progress: Progress
    ) -> Containers:
        """An engine of this machine that can run such clusters at once, until `running` unwinds."""
        for spec in specs:
            check_needs(spec.needs, self.capabilities, self.name)
            check_plain(spec, self.name, (IDENTITIES, PREPARED, STAGES))
        host = answering_engine() or running.enter_context(running_engine(progress))
        if not host.startswith(UNIX):
            raise InfraFault(
                f"the Docker engine at {host} may be on another machine, which cannot see our files",
                fix="name an engine of this machine by its socket: DOCKER_HOST=unix:///var/run/docker.sock",
            )
        containers = running.enter_context(Containers(host))
        check(containers.facts(), sum(1 + spec.workers for spec in specs))
        return containers

    def _parts(self, spec: ClusterSpec, containers: Containers, progress: Progress) -> Parts:
        """What a cluster is made of, fetched and built if it is not there."""
        return Parts(
            containers=containers,
            binary=ensure_kind(progress),
            image=self._node_image or ensure_node_image(containers.host, progress),
            kwok=ensure_binaries(progress).path("kwok") if spec.nodes else None,
            old_cgroups=containers.facts().cgroups < 2,
        )

    @contextlib.contextmanager
    def shared(self, progress: Progress) -> Iterator[Mapping[str, str]]:
        """Have a Docker engine; the images that the first grading loads stay in it for the others.

        Raises:
            InfraFault: there is none, and none can be started.
        """
        with running_engine(progress) as host:
            yield {VARIABLES[0]: host}


def provider(options: ProviderOptions) -> KindProvider:
    """The provider, on the node image that somebody named, if they did."""
    return KindProvider(options.node_image)
