"""What stands between an operator and its API server: the proxy's identity, its witnesses, its limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.certificates import Authority
from graders.evidence.recording import Recording
from graders.faultproxy import FaultProxy, Fence, Notary, Serving
from graders.kube.client import Kube
from graders.lab1.api import GROUP
from graders.model import Capability, Cluster
from graders.scenario.fleet import LiveCluster


@dataclass(frozen=True)
class Front:
    """A proxy that runs, and the authority by which an operator knows it, PEM."""

    proxy: FaultProxy
    authority: bytes


@contextlib.contextmanager
def open_front(live: LiveCluster, folder: Path, recording: Recording, operator: str) -> Iterator[Front]:
    """Have a proxy before a cluster while the block runs, for the operator whose API identity that is.

    Where the cluster's audit log is out of reach the proxy stands in for it; in a cluster of somebody's it
    keeps the operator to the namespaces it is graded in.
    """
    cluster = live.cluster
    serving, authority = _serving(live.kube, cluster, folder)
    logged = Capability.AUDIT_LOG in cluster.capabilities
    notary = None if logged else Notary(live.audit, operator, frozenset({GROUP}))
    with FaultProxy(serving, recording, notary, cluster=live.name) as proxy, contextlib.ExitStack() as fenced:
        if cluster.guest is not None:
            fenced.enter_context(proxy.disturb(Fence(cluster.guest.owns)))
        yield Front(proxy, authority)


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
