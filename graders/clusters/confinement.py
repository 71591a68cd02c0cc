"""Bounds what a namespace of a learner's holds, and whom its pods speak to, where pods are real."""

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graders.clusters.containment import NAME
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for

_COUNTED_WITHIN_S = 30.0

_FAR_TOO_MUCH = {"cpu": "100k", "memory": "100Ti"}

_DNS_PORTS = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]


@dataclass(frozen=True)
class NamespaceBounds:
    """How much a namespace of a learner's may hold, and whom its pods may speak to besides the DNS.

    `hard` is the ResourceQuota's; `defaults` are the bounds of containers that name none. `peers` are label
    selectors: pods that one of them selects may speak with each other. `api` lets pods speak to the API
    server.
    """

    hard: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    peers: Sequence[Mapping[str, str]] = ()
    api: bool = False


REAL = NamespaceBounds(
    {
        "pods": "24", "requests.cpu": "4", "requests.memory": "3Gi", "limits.memory": "5Gi",
        "services": "100", "secrets": "100", "configmaps": "100", "persistentvolumeclaims": "0",
        "services.nodeports": "0", "services.loadbalancers": "0",
    },
    {
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
        "default": {"cpu": "1", "memory": "256Mi"},
    },
)  # fmt: skip
"""For namespaces whose pods run."""


def confine(kube: Kube, namespace: str, bounds: NamespaceBounds) -> None:
    """Bound what a namespace may hold and whom its pods may speak to; waits until it is counted.

    Raises:
        InfraFault: the API server does not take the guards, or does not count.
    """
    for manifest in bounds_manifests(namespace, bounds, _api_addresses(kube) if bounds.api else ()):
        answer = kube.apply(manifest)
        if not answer.ok:
            raise InfraFault(f"{namespace} cannot be confined: {answer.message}")
    try:
        wait_for(lambda: _see_bounds(kube, namespace, bounds), timeout_s=_COUNTED_WITHIN_S, interval_s=0.05)
    except TimedOut as error:
        raise InfraFault(f"{error} after {_COUNTED_WITHIN_S:g} s") from error
    except ApiRefused as error:
        raise InfraFault(f"{namespace} cannot be confined: {error}") from error


def _see_bounds(kube: Kube, namespace: str, bounds: NamespaceBounds) -> None:
    """Raise `NotYet` until what the namespace may hold is counted, and admission acts on it.

    A quota that is written counts nothing at first, and admission hears of it a moment later than that:
    meanwhile it lets pass what it does not count.
    """
    quota = resource_path("v1", "resourcequotas", namespace=namespace, name=f"{NAME}-quota")
    if set(bounds.hard) - set((kube.get(quota).get("status") or {}).get("hard") or {}):
        raise NotYet(f"what {namespace} holds is not counted")
    pods = resource_path("v1", "pods", namespace=namespace)
    if bounds.hard.keys() & {f"{kind}.{what}" for kind in ("requests", "limits") for what in _FAR_TOO_MUCH}:
        much = {"requests": _FAR_TOO_MUCH, "limits": _FAR_TOO_MUCH}
        answer = kube.request("POST", pods, query={"dryRun": "All"}, body=_canary(much))
        if "exceeded quota" not in answer.message:
            raise NotYet(f"{namespace} takes far too much: {answer.code} {answer.message}")
    if bounds.defaults:
        answer = kube.request("POST", pods, query={"dryRun": "All"}, body=_canary({}))
        if not answer.ok or not answer.body["spec"]["containers"][0].get("resources"):
            raise NotYet(f"{namespace} gives no bounds to a pod: {answer.code} {answer.message}")


def _canary(resources: Mapping[str, Any]) -> dict[str, Any]:
    """A pod that nobody objects to but for its resources; it is never really made."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{NAME}-"},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "canary",
                    "image": "canary",
                    "resources": dict(resources),
                    "securityContext": {
                        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }  # fmt: skip


def bounds_manifests(
    namespace: str, bounds: NamespaceBounds, api: Sequence[tuple[str, int]] = ()
) -> list[dict[str, Any]]:
    """The guards of one namespace; `api` are addresses and ports of the API server."""
    manifests = [
        _policy(namespace, "deny", {}, {"policyTypes": ["Ingress", "Egress"]}),
        _policy(
            namespace,
            "dns",
            {},
            {
                "policyTypes": ["Egress"],
                "egress": [
                    {
                        "to": [
                            {
                                "namespaceSelector": {
                                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                                },
                                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                            }
                        ],
                        "ports": _DNS_PORTS,
                    }
                ],
            },
        ),
    ]
    for number, labels in enumerate(bounds.peers):
        peers = [{"podSelector": {"matchLabels": dict(labels)}}]
        both = {
            "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": peers}], "egress": [{"to": peers}],
        }  # fmt: skip
        manifests.append(_policy(namespace, f"peers-{number}", labels, both))
    if api:
        ways = [
            {
                "to": [{"ipBlock": {"cidr": f"{address}/{128 if ':' in address else 32}"}}],
                "ports": [{"protocol": "TCP", "port": port}],
            }
            for address, port in api
        ]
        manifests.append(_policy(namespace, "api", {}, {"policyTypes": ["Egress"], "egress": ways}))
    metadata = {"namespace": namespace}
    if bounds.defaults:
        limits = [{"type": "Container", **copy.deepcopy(dict(bounds.defaults))}]
        manifests.append(
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {**metadata, "name": f"{NAME}-defaults"},
                "spec": {"limits": limits},
            }
        )
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {**metadata, "name": f"{NAME}-quota"}}
    manifests.append({**quota, "spec": {"hard": dict(bounds.hard)}})
    return manifests


def _policy(
    namespace: str, name: str, selected: Mapping[str, str], spec: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": f"{NAME}-{name}"},
        "spec": {"podSelector": {"matchLabels": dict(selected)} if selected else {}, **spec},
    }


def _api_addresses(kube: Kube) -> list[tuple[str, int]]:
    """Where the API server is, as pods reach it: behind the Service, and the Service itself."""
    found: list[tuple[str, int]] = []
    slices = kube.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")
    for each in slices["items"]:
        if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != "kubernetes":
            continue
        ports = [int(port["port"]) for port in each.get("ports") or () if port.get("port")]
        for endpoint in each.get("endpoints") or ():
            found += [(address, port) for address in endpoint["addresses"] for port in ports]
    service = kube.get(resource_path("v1", "services", namespace="default", name="kubernetes"))["spec"]
    with contextlib.suppress(KeyError, IndexError):
        found.append((str(service["clusterIP"]), int(service["ports"][0]["port"])))
    return found
