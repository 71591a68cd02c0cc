"""What every way of getting a cluster offers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from graders.faults import UsageError
from graders.kube.client import Kube
from graders.model import Capability, Cluster
from graders.progress import Progress

NODE_GRACE_S = 40.0
"""How long a node may be silent until it counts as lost, where nobody says otherwise."""

SIMULATED = "true"
"""What the annotation `kubeproof.dev/simulated` says on a node that the one simulator plays."""

_MEMBERS = (1, 3)


@dataclass(frozen=True)
class NodeSpec:
    """A simulated node: `resources` are extended ones, such as `nvidia.com/gpu`."""

    name: str
    zone: str = "zone-a"
    resources: Mapping[str, int] = field(default_factory=dict)


def default_nodes() -> tuple[NodeSpec, ...]:
    """Two zones with a plain and a GPU node each."""
    return (
        NodeSpec("node-a1", "zone-a"),
        NodeSpec("node-a2", "zone-a", {"nvidia.com/gpu": 8}),
        NodeSpec("node-b1", "zone-b"),
        NodeSpec("node-b2", "zone-b", {"nvidia.com/gpu": 8}),
    )


@dataclass(frozen=True)
class Permission:
    """One verb on one resource, such as `pods/status`; an empty namespace means all of them."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource, _, subresource = self.resource.partition("/")
        whole = f"{resource}.{self.group}" if self.group else resource
        whole += f"/{subresource}" if subresource else ""
        named = f" {self.name}" if self.name else ""
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {whole}{named} {where}"


def permissions(group: str, resources: str, verbs: str, *, namespace: str = "") -> tuple[Permission, ...]:
    """Every verb on every resource; both are words with blanks between them."""
    return tuple(
        Permission(verb, resource, group, namespace)
        for resource in resources.split()
        for verb in verbs.split()
    )


@dataclass(frozen=True)
class ClusterRequirements:
    """What a lab does in a cluster, for one that belongs to somebody.

    `objects` are manifests of which at least kind, name and namespace are those of what it will install;
    whatever of them is there already is somebody's, and is not to be overwritten.
    """

    permissions: tuple[Permission, ...] = ()
    objects: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Preparation:
    """What is in a cluster from the beginning: `prepare` puts it there, where there are no controllers yet.

    `parts` are texts or digests that say what it does; what two clusters have in common is made once.
    """

    parts: tuple[str, ...]
    prepare: Callable[[Kube], None]


@dataclass(frozen=True)
class ClusterSpec:
    """The cluster a lab wants.

    `on_audit` gets every raw audit line (bytes, no newline) as the API server writes it; without it
    the log is a file in the cluster's folder. `before_controllers` is called once the API server answers
    and, where the provider can, before its controllers look which kinds there are: the garbage collector
    looks again only every 30 s, and until then does not collect the children of a kind it missed.
    """

    name: str = "grading"
    nodes: tuple[NodeSpec, ...] = field(default_factory=default_nodes)
    on_audit: Callable[[bytes], None] | None = None
    before_controllers: Callable[[Kube], None] | None = None
    workers: int = 0
    needs: frozenset[Capability] = frozenset()
    """What it must be able to show; a provider that knows that its own cannot refuses at once."""
    requirements: ClusterRequirements = ClusterRequirements()
    durable: bool = False
    """Whether etcd has its log on disk before it says that something is written."""
    etcd_members: int = 1
    controller_managers: int = 1
    """Where there are several, they elect a leader."""
    extra_controllers: tuple[str, ...] = ()
    """Controllers beside those that every cluster has, such as `taint-eviction-controller`; one whose control
    plane is not ours has all that Kubernetes switches on."""
    node_grace_s: float = NODE_GRACE_S
    """Also how long leases of nodes last: a simulator that was killed has its nodes back only after that."""
    prepared: Preparation | None = None
    """What is there before controllers look, and before `before_controllers` is called."""
    golden: Path | None = None
    """An etcd data folder to begin with, of a single member; the cluster takes a copy."""
    simulator_per_zone: bool = False
    """Whether nodes of each zone are played by a process of their own, `kwok-<zone>`, that can be killed."""
    identities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Users of its API that have a client certificate, with their groups; see `Cluster.identities`."""
    audit_policy: Path | None = None
    """What the API server's audit log keeps; None leaves that to the provider."""
    stages: Path | None = None
    """How simulated nodes and pods behave, as a file of kwok's; None leaves that to the provider."""

    def __post_init__(self) -> None:
        if self.etcd_members not in _MEMBERS:
            raise UsageError(f"etcd has 1 member or 3, and this cluster asks for {self.etcd_members}")
        if self.controller_managers < 1:
            raise UsageError("a cluster has at least one controller-manager")
        if (self.golden is not None or self.prepared is not None) and self.etcd_members != 1:
            raise UsageError("golden data are those of a single etcd member, and this cluster has several")


@dataclass(frozen=True)
class ProviderOptions:
    """What a person may say about where the cluster comes from; each provider takes what it knows.

    `kubeconfig` and `context` name a cluster that exists, `node_image` the image of kind's nodes; an empty
    one leaves the choice to the provider. `workers` counts those of clusters whose nodes are all real.
    """

    kubeconfig: Path | None = None
    context: str = ""
    node_image: str = ""
    workers: int = 2


class ClusterProvider(Protocol):
    """A way of getting a cluster."""

    name: str
    capabilities: frozenset[Capability]
    """What its clusters can show; a cluster says itself what it can."""
    several: bool
    """Whether one more cluster costs so little that what disturbs everybody gets one of its own."""
    caution: str
    """What a report has to say of the dangers of its clusters; empty where there is nothing to say."""

    def ready(self, specs: Sequence[ClusterSpec], progress: Progress) -> AbstractContextManager[str]:
        """Have what these clusters are made of: while the block runs, none waits for a download or a build.

        Gives the address of the Docker engine that holds their nodes, empty where there is none.

        Raises:
            InfraFault: something cannot be had, or there is no room for all of them at once.
        """

    def provision(self, spec: ClusterSpec, progress: Progress) -> AbstractContextManager[Cluster]:
        """Start (or take) a cluster; what was started is gone when the block ends.

        Raises:
            InfraFault: it does not come up.
        """

    def shared(self, progress: Progress) -> AbstractContextManager[Mapping[str, str]]:
        """Have, while the block runs, what each of several gradings would else start for itself.

        Gives the environment variables that lead their processes to it.

        Raises:
            InfraFault: it cannot be had.
        """


IDENTITIES, STAGES, PREPARED = "users with certificates", "other simulated pods", "kinds from the beginning"
"""What a provider may have that does not run the control plane itself."""


def check_plain(spec: ClusterSpec, provider: str, able: Collection[str] = ()) -> None:
    """See that a lab wants nothing of a control plane that this provider does not run itself.

    `able` names what it can have all the same.

    Raises:
        UsageError: it does; names everything.
    """
    wanted = {
        "several etcd members": spec.etcd_members != 1,
        "several controller-managers": spec.controller_managers != 1,
        "another grace period for nodes": spec.node_grace_s != NODE_GRACE_S,
        "golden etcd data": spec.golden is not None,
        PREPARED: spec.prepared is not None,
        IDENTITIES: bool(spec.identities),
        "a simulator for each zone": spec.simulator_per_zone,
        STAGES: spec.stages is not None,
    }
    if lacking := [what for what, asked in wanted.items() if asked and what not in able]:
        raise UsageError(
            f"clusters of provider {provider} cannot have {', '.join(lacking)}, and the lab asks for that",
            fix="use --provider embedded",
        )


def check_needs(
    needs: Iterable[Capability],
    capabilities: Iterable[Capability],
    provider: str,
    reasons: Mapping[Capability, str] | None = None,
) -> None:
    """See that a cluster can show what a lab cannot do without; `reasons` says why it cannot.

    Raises:
        UsageError: it cannot; names everything that is missing.
    """
    lacking = sorted(set(needs) - set(capabilities))
    if lacking:
        told = [f"{each}: {(reasons or {}).get(each, 'this provider has none')}" for each in lacking]
        raise UsageError(
            f"this cluster (provider {provider}) cannot show what the lab needs:\n  " + "\n  ".join(told),
            fix="use another cluster, or another --provider",
        )
