"""The processes of an embedded control plane: their command lines and nothing else.

Two of them listen, on loopback only; nobody asks the others for health or metrics. Each calls the API
server under a name of its own, so that the audit log tells them apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.certificates import Authority, Identity, signing_key
from graders.clusters.kubeconfigs import write_kubeconfig
from graders.clusters.provider import NODE_GRACE_S, SIMULATED, ClusterSpec

CONTROL_PLANE = "kubeproof:control-plane"
GRADER = "kubeproof:grader"
"""Groups that the audit policy knows."""

ENVIRONMENT: Mapping[str, Mapping[str, str]] = {"kube-apiserver": {"GOGC": "75"}}
"""Settings of the Go runtime by component: a smaller heap for two tenths of a second of CPU time."""

_CONFIG = Path(__file__).parent / "config"

AUDIT_POLICY = _CONFIG / "audit-policy.yaml"
STAGES = _CONFIG / "stages.yaml"
"""How simulated nodes and pods behave, where a lab does not say otherwise."""
AUDIT_LOG_MB = 2000
"""The size at which the API server begins a new file: more than any run writes."""

GRADER_IDENTITY = ("kubeproof-grader", "system:masters", GRADER)
SIMULATOR_IDENTITY = ("kwok", "system:masters", CONTROL_PLANE)
"""User and groups, in every kind of cluster."""

API_FLAGS: Mapping[str, str] = {
    "profiling": "false",
    "max-requests-inflight": "800",
    "audit-log-mode": "blocking",
    "audit-log-maxsize": str(AUDIT_LOG_MB),
}
CONTROLLER_FLAGS: Mapping[str, str] = {
    "leader-elect": "false",
    "kube-api-qps": "500",
    "kube-api-burst": "1000",
    "node-monitor-period": "1s",
    "node-monitor-grace-period": f"{NODE_GRACE_S:g}s",
    "profiling": "false",
}
SCHEDULER_FLAGS: Mapping[str, str] = {
    "leader-elect": "false",
    "kube-api-qps": "500",
    "kube-api-burst": "1000",
    "profiling": "false",
}
"""What makes a control plane quick, wherever it runs. The rate limit is for the first ServiceAccounts."""

_CONTROLLERS = (
    "serviceaccount-controller,serviceaccount-token-controller,namespace-controller,"
    "garbage-collector-controller,pod-garbage-collector-controller,endpointslice-controller,job-controller,"
    "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,"
    "disruption-controller,node-lifecycle-controller,ttl-after-finished-controller,cronjob-controller,"
    "resourcequota-controller,clusterrole-aggregation-controller,root-ca-certificate-publisher-controller,"
    "validatingadmissionpolicy-status-controller"
)


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one cluster; `etcd` has one for each member."""

    etcd: tuple[int, ...]
    api: int


@dataclass(frozen=True)
class Commands:
    """The command lines of one cluster, and everything on disk that its processes read."""

    folder: Path
    ports: Ports
    spec: ClusterSpec
    cluster_ca: Path
    etcd_ca: Path
    etcd_server: Identity
    etcd_client: Identity
    api_server: Identity
    proxy: Identity
    signing: tuple[Path, Path]
    audit_log: str

    @property
    def kubeconfig(self) -> Path:
        """The grader's kubeconfig."""
        return self.folder / "grader.kubeconfig"

    @property
    def members(self) -> tuple[str, ...]:
        """The members of etcd."""
        return _numbered("etcd", self.spec.etcd_members)

    @property
    def controller_managers(self) -> tuple[str, ...]:
        """The controller-managers."""
        return _numbered("kube-controller-manager", self.spec.controller_managers)

    @property
    def simulators(self) -> dict[str, str]:
        """The simulators of nodes, and how the nodes are annotated that each plays."""
        if not self.spec.simulator_per_zone:
            return {"kwok": SIMULATED}
        return {f"kwok-{zone}": zone for zone in dict.fromkeys(node.zone for node in self.spec.nodes)}

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where the members of etcd serve clients."""
        return tuple(f"https://127.0.0.1:{port}" for port in self.ports.etcd)

    @property
    def peer_urls(self) -> dict[str, str]:
        """Where the members of etcd find each other: sockets in the cluster's private folder.

        Peers have no certificate to show. The names are relative to that folder: etcd wants the form
        host:port, and a long path would not fit a socket's name.
        """
        return {each: f"unix://{each.replace('etcd', 'peer')}:0" for each in self.members}

    @property
    def identities(self) -> dict[str, Path]:
        """The kubeconfigs of the users that the lab asked for."""
        users = enumerate(self.spec.identities, start=1)
        return {user: self.folder / f"user-{number}.kubeconfig" for number, user in users}

    def data_folder(self, member: str) -> Path:
        """Where a member of etcd keeps its data."""
        return self.folder / member

    def all(self, program: Callable[[str], Path]) -> dict[str, list[str | Path]]:
        """Every component's command line, etcd first; `program` says where a program is."""
        managers = self.controllers(program("kube-controller-manager"))
        return {
            **{member: self.etcd(program("etcd"), member) for member in self.members},
            "kube-apiserver": self.api(program("kube-apiserver")),
            **dict.fromkeys(self.controller_managers, managers),
            "kube-scheduler": self.scheduler(program("kube-scheduler")),
            **{name: self.simulator(program("kwok"), nodes) for name, nodes in self.simulators.items()},
        }

    def etcd(self, binary: Path, member: str) -> list[str | Path]:
        """etcd: client certificates required; no fsync, because most grading clusters are disposable."""
        url, peers = self.endpoints[self.members.index(member)], self.peer_urls
        return [
            binary, f"--name={member}", f"--data-dir={self.data_folder(member)}",
            *([] if self.spec.durable else ["--unsafe-no-fsync"]),
            f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peers[member]}", f"--initial-advertise-peer-urls={peers[member]}",
            "--initial-cluster=" + ",".join(f"{each}={peer}" for each, peer in peers.items()),
            "--client-cert-auth",
            f"--trusted-ca-file={self.etcd_ca}", f"--cert-file={self.etcd_server.certificate}",
            f"--key-file={self.etcd_server.key}", "--log-level=warn", "--snapshot-count=10000",
        ]  # fmt: skip

    def api(self, binary: Path) -> list[str | Path]:
        """kube-apiserver."""
        private, public = self.signing
        return [
            binary, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={self.ports.api}",
            f"--etcd-servers={','.join(self.endpoints)}", f"--etcd-cafile={self.etcd_ca}",
            f"--etcd-certfile={self.etcd_client.certificate}", f"--etcd-keyfile={self.etcd_client.key}",
            f"--client-ca-file={self.cluster_ca}", f"--tls-cert-file={self.api_server.certificate}",
            f"--tls-private-key-file={self.api_server.key}", "--authorization-mode=RBAC",
            f"--service-account-key-file={public}", f"--service-account-signing-key-file={private}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
            # As on clusters that people run: whether a pod may be privileged is for policies to say.
            "--allow-privileged=true",
            "--anonymous-auth=false", f"--audit-policy-file={self.spec.audit_policy or AUDIT_POLICY}",
            f"--audit-log-path={self.audit_log}", *_flags(API_FLAGS),
        ]  # fmt: skip

    def controllers(self, binary: Path) -> list[str | Path]:
        """kube-controller-manager; several agree on a leader, by the lease times that Kubernetes has."""
        config = self.folder / "controller-manager.kubeconfig"
        flags = {
            **CONTROLLER_FLAGS,
            "leader-elect": "true" if self.spec.controller_managers > 1 else "false",
            "node-monitor-grace-period": f"{self.spec.node_grace_s:g}s",
        }
        if self.spec.node_grace_s != NODE_GRACE_S:
            # By default nodes that are lost together are given up 10 s apart, the first of them after 10 s
            # where one look finds a whole zone lost: chance would decide over the learner's recovery.
            flags["node-eviction-rate"] = "10"
        return [
            binary, f"--kubeconfig={config}", "--secure-port=0",
            "--use-service-account-credentials", f"--service-account-private-key-file={self.signing[0]}",
            f"--root-ca-file={self.cluster_ca}",
            f"--controllers={','.join((_CONTROLLERS, *self.spec.extra_controllers))}", *_flags(flags),
        ]  # fmt: skip

    def scheduler(self, binary: Path) -> list[str | Path]:
        """kube-scheduler."""
        config = self.folder / "scheduler.kubeconfig"
        return [binary, f"--kubeconfig={config}", "--secure-port=0", *_flags(SCHEDULER_FLAGS)]

    def simulator(self, binary: Path, nodes: str) -> list[str | Path]:
        """Kwok, for the nodes that are annotated so."""
        config, spec = self.folder / "kwok.kubeconfig", self.spec
        stages = spec.stages or STAGES
        command = simulator(binary, config, nodes=nodes, grace_s=spec.node_grace_s, stages=stages)
        # Each gives out addresses by itself: two must not give the same.
        number = list(self.simulators.values()).index(nodes)
        return [*command, f"--cidr=10.{number}.0.1/16"] if spec.simulator_per_zone else command


def simulator(
    binary: Path,
    kubeconfig: Path,
    *,
    nodes: str = SIMULATED,
    grace_s: float = NODE_GRACE_S,
    stages: Path = STAGES,
) -> list[str | Path]:
    """Kwok, with stages of ours and for our nodes alone; without a server address it opens no port.

    `nodes` is what the annotation `kubeproof.dev/simulated` says on those that it plays. It renews a lease
    in a quarter of its time: one longer than the `grace_s` of nodes would let them flap.
    """
    return [
        binary, f"--kubeconfig={kubeconfig}", f"--config={stages}",
        f"--manage-nodes-with-annotation-selector=kubeproof.dev/simulated={nodes}",
        f"--node-lease-duration-seconds={max(1, int(grace_s))}", "--v=WARN",
    ]  # fmt: skip


def prepare(folder: Path, ports: Ports, spec: ClusterSpec, *, audit_log: str) -> Commands:
    """Write every certificate and kubeconfig of a cluster into `folder`."""
    authority, etcd_authority = Authority(folder, "cluster"), Authority(folder, "etcd")
    commands = Commands(
        folder=folder,
        ports=ports,
        spec=spec,
        cluster_ca=authority.path,
        etcd_ca=etcd_authority.path,
        etcd_server=etcd_authority.server("etcd-server"),
        etcd_client=etcd_authority.client("etcd-client", "kube-apiserver"),
        api_server=authority.server("api-server", "kubernetes", "kubernetes.default.svc"),
        proxy=authority.server("proxy"),
        signing=signing_key(folder),
        audit_log=audit_log,
    )
    server = f"https://127.0.0.1:{ports.api}"
    people = {
        "grader": GRADER_IDENTITY,
        "controller-manager": ("system:kube-controller-manager", CONTROL_PLANE),
        "scheduler": ("system:kube-scheduler", CONTROL_PLANE),
        "kwok": SIMULATOR_IDENTITY,
    }
    for name, (user, *groups) in people.items():
        identity = authority.client(name, user, *groups)
        write_kubeconfig(folder / f"{name}.kubeconfig", server, commands.cluster_ca, identity)
    for user, path in commands.identities.items():
        identity = authority.client(path.stem, user, *spec.identities[user])
        write_kubeconfig(path, server, commands.cluster_ca, identity)
    return commands


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name, *(f"{name}-{number}" for number in range(2, count + 1)))


def _flags(flags: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
