"""The four clusters: what they are asked for, and what is in them before the engine starts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.clusters.golden import golden_etcd
from graders.clusters.provider import ClusterSpec, NodeSpec
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.lab2.names import DRIFTER, ENGINE, ENVIRONMENTS, HUB, INTRUDER, NAMESPACES
from graders.polling import NotYet, await_ready
from graders.progress import Progress
from graders.scenario.fleet import LiveCluster
from graders.services.unsealer import DEFINITION

_CONFIG = Path(__file__).parent / "config"
AUDIT_POLICY = _CONFIG / "audit-policy.yaml"
HUB_USER = "argocd"
ARGOCD = "argocd"
_ADMINISTRATORS = ("system:masters",)
_ESTABLISHED_WITHIN_S = 60.0

SPOKE_WATCHES: Mapping[str, str] = {
    "deployments": "/apis/apps/v1/deployments",
    "replicasets": "/apis/apps/v1/replicasets",
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "configmaps": "/api/v1/namespaces/web/configmaps",
    "serviceaccounts": "/api/v1/namespaces/web/serviceaccounts",
    "namespaces": "/api/v1/namespaces",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "validatingadmissionpolicies": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "validatingadmissionpolicybindings": (
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    ),
}
HUB_WATCHES: Mapping[str, str] = {
    "deployments": "/apis/apps/v1/deployments",
    "applications": "/apis/argoproj.io/v1alpha1/applications",
    "events": "/api/v1/namespaces/argocd/events",
}
"""What the grader's own watches follow on each, by resource."""


def cluster_specs(nodes: tuple[NodeSpec, ...], stages: Path, progress: Progress) -> dict[str, ClusterSpec]:
    """The clusters by name, the hub first; the kinds of Argo CD are in the hub's etcd already.

    Raises:
        InfraFault: that etcd cannot be made.
    """
    definitions = _definitions()
    digest = hashlib.sha256(json.dumps(definitions, sort_keys=True).encode()).hexdigest()
    golden = golden_etcd(["lab2 hub", digest], lambda kube: _install(kube, definitions), progress)
    hub = ClusterSpec(
        HUB, nodes=(), identities={HUB_USER: _ADMINISTRATORS}, golden=golden, audit_policy=AUDIT_POLICY
    )
    kind = dict(DEFINITION)
    digest = hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()
    spoke = golden_etcd(["lab2 spoke", digest], lambda kube: _install(kube, [kind]), progress)
    users = {ENGINE: (), INTRUDER: _ADMINISTRATORS, DRIFTER: _ADMINISTRATORS}
    return {HUB: hub} | {
        name: ClusterSpec(
            name, nodes=nodes, identities=users, golden=spoke, stages=stages, audit_policy=AUDIT_POLICY
        )
        for name in ENVIRONMENTS
    }


def furnish_spoke(live: LiveCluster, access: Sequence[Mapping[str, Any]]) -> None:
    """Bring the namespaces and the engine's rights; follow what is evidence.

    Raises:
        BadSubmission: the rights are refused.
    """
    for namespace in NAMESPACES:
        live.kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    for item in access:
        answer = live.kube.apply(item)
        if not answer.ok:
            raise BadSubmission(
                f"the API server refuses {item.get('kind')} {item['metadata'].get('name')}: {answer.message}",
                file=f"access/{live.name}", fix="mend what it says",
            )  # fmt: skip
    for resource, path in SPOKE_WATCHES.items():
        live.watches.follow(resource, path)


def furnish_hub(live: LiveCluster, spokes: Sequence[LiveCluster], settings: Mapping[str, str]) -> None:
    """Bring what Argo CD expects of its own namespace, the fleet's inventory, and follow what is evidence."""
    kube = live.kube
    kube.create("/api/v1/namespaces", {"metadata": {"name": ARGOCD}})
    part_of = {"app.kubernetes.io/part-of": "argocd"}
    for name, data in {
        "argocd-cm": {
            "resource.respectRBAC": "strict",
            "timeout.reconciliation": "10s",
            "application.instanceLabelKey": "argocd.argoproj.io/instance",
            **settings,
        },
        "argocd-rbac-cm": {},
        "argocd-cmd-params-cm": {},
        "argocd-gpg-keys-cm": {},
        "argocd-tls-certs-cm": {},
        "argocd-ssh-known-hosts-cm": {},
    }.items():
        meta = {"name": name, "labels": part_of}
        kube.create(f"/api/v1/namespaces/{ARGOCD}/configmaps", {"metadata": meta, "data": data})
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    _secret(kube, "argocd-secret", part_of, {"server.secretkey": key})
    for spoke in spokes:
        _secret(
            kube,
            f"cluster-{spoke.name}",
            {"argocd.argoproj.io/secret-type": "cluster", "lab/env": spoke.name},
            _inventory_entry(spoke),
        )
    kube.create(
        f"/apis/argoproj.io/v1alpha1/namespaces/{ARGOCD}/appprojects",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
    )
    for resource, path in HUB_WATCHES.items():
        live.watches.follow(resource, path)


def _inventory_entry(spoke: LiveCluster) -> dict[str, str]:
    config = json.loads(spoke.cluster.identities[ENGINE].read_text("utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = {
        "caData": cluster["certificate-authority-data"],
        "certData": user["client-certificate-data"],
        "keyData": user["client-key-data"],
    }
    return {
        "name": spoke.name,
        "server": cluster["server"],
        "namespaces": "web",
        "clusterResources": "true",
        "config": json.dumps({"tlsClientConfig": trust}),
    }


def _secret(kube: Kube, name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> None:
    body = {"metadata": {"name": name, "labels": dict(labels)}, "stringData": dict(data)}
    kube.create(f"/api/v1/namespaces/{ARGOCD}/secrets", body)


def _definitions() -> list[dict[str, Any]]:
    packed = (_CONFIG / "argocd-crds.json.gz").read_bytes()
    found: list[dict[str, Any]] = json.loads(gzip.decompress(packed))
    return found


def _install(kube: Kube, definitions: Sequence[Mapping[str, Any]]) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for each in definitions:
        kube.create(path, each)

    def established() -> None:
        for item in kube.get(path)["items"]:
            conditions = (item.get("status") or {}).get("conditions") or ()
            if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                raise NotYet(f"{item['metadata']['name']} is not established")

    try:
        await_ready("the kinds of the fleet", established, _ESTABLISHED_WITHIN_S)
    except ApiRefused as error:
        raise InfraFault(f"the kinds of the fleet cannot be installed: {error}") from error
