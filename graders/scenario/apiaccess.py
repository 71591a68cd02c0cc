"""How a learner's program reaches an API server: by a proxy, with its identity, its record and its limits."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.certificates import Authority
from graders.evidence.recording import Recording
from graders.faultproxy import FaultProxy, NamespaceGuard, ProxyAuditLog, Serving
from graders.kube.client import Kube
from graders.model import Capability, Cluster
from graders.scenario.fleet import LiveCluster


@dataclass(frozen=True)
class ApiAccess:
    """A proxy that runs, and the authority by which a program knows it, PEM."""

    proxy: FaultProxy
    authority: bytes


@contextlib.contextmanager
def open_api_access(
    live: LiveCluster, folder: Path, recording: Recording, user: str, groups: Collection[str] = ()
) -> Iterator[ApiAccess]:
    """Have a proxy before a cluster while the block runs, for the program whose API identity is `user`.

    Where the cluster's audit log is out of reach the proxy stands in for it; in a cluster of somebody's it
    keeps the program to the namespaces it is graded in.
    """
    cluster = live.cluster
    serving, authority = _serving(live.kube, cluster, folder)
    logged = Capability.AUDIT_LOG in cluster.capabilities
    audit_log = None if logged else ProxyAuditLog(live.audit, user, frozenset(groups))
    with (
        FaultProxy(serving, recording, audit_log, cluster=live.name) as proxy,
        contextlib.ExitStack() as fenced,
    ):
        if cluster.guest is not None:
            fenced.enter_context(proxy.disturb(NamespaceGuard(cluster.guest.owns)))
        yield ApiAccess(proxy, authority)


def _serving(kube: Kube, cluster: Cluster, folder: Path) -> tuple[Serving, bytes]:
    """Who the proxy is to the operator, and where it finds the API server."""
    if cluster.serving is not None:
        certificate, key = cluster.serving
        authority = kube.ca_certificate()
    else:
        own = Authority(folder, "proxy")
        identity = own.server("proxy")
        certificate, key, authority = identity.certificate, identity.key, own.path.read_bytes()
    upstream_ca = None
    if kube.ca_file is not None:
        upstream_ca = folder / "api-server-ca.crt"
        upstream_ca.write_bytes(kube.ca_certificate())
    serving = Serving(kube.server, upstream_ca, certificate, key, kube.server_name, kube.http_proxy)
    return serving, authority
