"""The processes of an embedded control plane: their command lines and nothing else.

Two of them listen, on loopback only; nobody asks the others for health or metrics. Each calls the API
server under a name of its own, so that the audit log tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.certificates import Authority, Identity, signing_key
from graders.clusters.kubeconfigs import write_kubeconfig

CONTROL_PLANE = "kubeproof:control-plane"
GRADER = "kubeproof:grader"
"""Groups that the audit policy knows."""

ENVIRONMENT: Mapping[str, Mapping[str, str]] = {"kube-apiserver": {"GOGC": "75"}}
"""Settings of the Go runtime by component: a smaller heap for two tenths of a second of CPU time."""

_CONFIG = Path(__file__).parent / "config"

AUDIT_POLICY = _CONFIG / "audit-policy.yaml"
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
    "node-monitor-grace-period": "40s",
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
    """Loopback ports of one cluster."""

    etcd: int
    api: int


@dataclass(frozen=True)
class ControlPlane:
    """Everything the processes of one cluster read, on disk."""

    folder: Path
    ports: Ports
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

    def etcd(self, binary: Path) -> list[str | Path]:
        """etcd: client certificates required; no fsync, because a grading cluster is disposable.

        Peers have no certificate to show, so theirs is a socket in the cluster's private folder, named
        relative to it: etcd wants the form host:port, and a long path would not fit a socket's name.
        """
        url, peer = f"https://127.0.0.1:{self.ports.etcd}", "unix://peer:0"
        return [
            binary, "--name=etcd", f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=etcd={peer}", "--client-cert-auth",
            f"--trusted-ca-file={self.etcd_ca}", f"--cert-file={self.etcd_server.certificate}",
            f"--key-file={self.etcd_server.key}", "--log-level=warn", "--snapshot-count=10000",
        ]  # fmt: skip

    def api(self, binary: Path) -> list[str | Path]:
        """kube-apiserver."""
        private, public = self.signing
        return [
            binary, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={self.ports.api}",
            f"--etcd-servers=https://127.0.0.1:{self.ports.etcd}", f"--etcd-cafile={self.etcd_ca}",
            f"--etcd-certfile={self.etcd_client.certificate}", f"--etcd-keyfile={self.etcd_client.key}",
            f"--client-ca-file={self.cluster_ca}", f"--tls-cert-file={self.api_server.certificate}",
            f"--tls-private-key-file={self.api_server.key}", "--authorization-mode=RBAC",
            f"--service-account-key-file={public}", f"--service-account-signing-key-file={private}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
            # As on clusters that people run: whether a pod may be privileged is for policies to say.
            "--allow-privileged=true",
            "--anonymous-auth=false", f"--audit-policy-file={AUDIT_POLICY}",
            f"--audit-log-path={self.audit_log}", *_flags(API_FLAGS),
        ]  # fmt: skip

    def controllers(self, binary: Path) -> list[str | Path]:
        """kube-controller-manager."""
        config = self.folder / "controller-manager.kubeconfig"
        return [
            binary, f"--kubeconfig={config}", "--secure-port=0",
            "--use-service-account-credentials", f"--service-account-private-key-file={self.signing[0]}",
            f"--root-ca-file={self.cluster_ca}", f"--controllers={_CONTROLLERS}", *_flags(CONTROLLER_FLAGS),
        ]  # fmt: skip

    def scheduler(self, binary: Path) -> list[str | Path]:
        """kube-scheduler."""
        config = self.folder / "scheduler.kubeconfig"
        return [binary, f"--kubeconfig={config}", "--secure-port=0", *_flags(SCHEDULER_FLAGS)]

    def simulator(self, binary: Path) -> list[str | Path]:
        """Kwok."""
        return simulator(binary, self.folder / "kwok.kubeconfig")


def simulator(binary: Path, kubeconfig: Path, *, nodes: str = "true") -> list[str | Path]:
    """Kwok, with our own stages and for our nodes alone; without a server address it opens no port.

    `nodes` is what the annotation `kubeproof.dev/simulated` says on those that it plays.
    """
    return [
        binary, f"--kubeconfig={kubeconfig}", f"--config={_CONFIG / 'stages.yaml'}",
        f"--manage-nodes-with-annotation-selector=kubeproof.dev/simulated={nodes}",
        "--node-lease-duration-seconds=40", "--v=WARN",
    ]  # fmt: skip


def prepare(folder: Path, ports: Ports, *, audit_log: str) -> ControlPlane:
    """Write every certificate and kubeconfig of a cluster into `folder`."""
    authority, etcd_authority = Authority(folder, "cluster"), Authority(folder, "etcd")
    plane = ControlPlane(
        folder=folder,
        ports=ports,
        cluster_ca=authority.path,
        etcd_ca=etcd_authority.path,
        etcd_server=etcd_authority.server("etcd-server"),
        etcd_client=etcd_authority.client("etcd-client", "kube-apiserver"),
        api_server=authority.server("api-server", "kubernetes", "kubernetes.default.svc"),
        proxy=authority.server("proxy"),
        signing=signing_key(folder),
        audit_log=audit_log,
    )
    people = {
        "grader": GRADER_IDENTITY,
        "controller-manager": ("system:kube-controller-manager", CONTROL_PLANE),
        "scheduler": ("system:kube-scheduler", CONTROL_PLANE),
        "kwok": SIMULATOR_IDENTITY,
    }
    for name, (user, *groups) in people.items():
        identity = authority.client(name, user, *groups)
        server = f"https://127.0.0.1:{ports.api}"
        write_kubeconfig(folder / f"{name}.kubeconfig", server, plane.cluster_ca, identity)
    return plane


def _flags(flags: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
