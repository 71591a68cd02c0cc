"""Argo CD on the hub: its kinds, its settings, its inventory of clusters."""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from graders.clusters.definitions import packed_definitions
from graders.documents import load_documents
from graders.faults import BadSubmission
from graders.gitops.hub import SETTINGS_FILE
from graders.gitops.seam import EngineSpec, FleetShape, GitOpsEngine
from graders.kube.client import Kube
from graders.progress import Progress
from graders.scenario.fleet import LiveCluster
from graders.services.argocd import NAMESPACE, EnginePrograms, argocd, find_redis
from graders.tools import Toolset, ensure

_CUSTOMIZATIONS = "resource.customizations"
_PART_OF = {"app.kubernetes.io/part-of": "argocd"}
_SETTINGS = {
    "resource.respectRBAC": "strict",
    "timeout.reconciliation": "10s",
    "application.instanceLabelKey": "argocd.argoproj.io/instance",
}
_EMPTY = (
    "argocd-rbac-cm", "argocd-cmd-params-cm", "argocd-gpg-keys-cm", "argocd-tls-certs-cm",
    "argocd-ssh-known-hosts-cm",
)  # fmt: skip


class ArgoCDSetup:
    """Argo CD: Applications on the hub, and a Secret for each spoke."""

    name, title, user, namespace = "argocd", "Argo CD", "argocd", NAMESPACE
    kinds = (
        ("argoproj.io/", "AppProject"),
        ("argoproj.io/", "Application"),
        ("argoproj.io/", "ApplicationSet"),
    )
    processes = "controller, repository server and application sets of Argo CD"
    watches: Mapping[str, str] = {
        "deployments": "/apis/apps/v1/deployments",
        "applications": "/apis/argoproj.io/v1alpha1/applications",
        "events": f"/api/v1/namespaces/{NAMESPACE}/events",
    }

    def __init__(self, toolset: Toolset, shape: FleetShape) -> None:
        self._toolset = toolset
        self.shape = shape

    def examine(self, root: Path) -> None:
        """See that hub/settings.yaml sets what the fleet may set; raises BadSubmission."""
        engine_settings(root)

    def program(self, progress: Progress) -> Path:
        """Argo CD's one program, and that there is a Redis; raises InfraFault."""
        found = ensure(self._toolset, progress).path("argocd")
        find_redis()
        return found

    def definitions(self) -> list[dict[str, Any]]:
        """Applications, sets of them, and projects."""
        return packed_definitions(Path(__file__).with_name("argocd-crds.json.gz"))

    def furnish(self, hub: LiveCluster, spokes: Sequence[LiveCluster], root: Path) -> None:
        """Bring what Argo CD expects of its own namespace, and the fleet's inventory."""
        kube = hub.kube
        kube.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        settings: dict[str, dict[str, str]] = {"argocd-cm": {**_SETTINGS, **engine_settings(root)}}
        for name, data in {**settings, **{each: {} for each in _EMPTY}}.items():
            meta = {"name": name, "labels": _PART_OF}
            kube.create(f"/api/v1/namespaces/{NAMESPACE}/configmaps", {"metadata": meta, "data": data})
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        _secret(kube, "argocd-secret", _PART_OF, {"server.secretkey": key})
        for spoke in spokes:
            labels = {"argocd.argoproj.io/secret-type": "cluster", "lab/env": spoke.name}
            _secret(kube, f"cluster-{spoke.name}", labels, _inventory_entry(spoke, self.shape))
        kube.create(
            f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects",
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

    def running(self, spec: EngineSpec) -> AbstractContextManager[GitOpsEngine]:
        """Its four processes."""
        hub, renderer = spec.hub, spec.renderer
        programs = EnginePrograms(spec.program, renderer.kustomize, renderer.helm)
        return argocd(spec.owner, spec.folder, hub.kube, hub.cluster.identities[self.user], programs)

    def tried(self, hub: LiveCluster, environment: str, names: Sequence[str]) -> bool:
        """Whether an Application of the environment has one of the objects among its resources."""
        for each in hub.watches.everything("applications"):
            destination = ((each.get("spec") or {}).get("destination") or {}).get("name")
            resources = str((each.get("status") or {}).get("resources"))
            if destination == environment and any(name in resources for name in names):
                return True
        return False

    def complaint(self, hub: LiveCluster) -> str:
        """What an Application says is wrong with it, or with its last sync."""
        found = (complaint_of(each) for each in hub.watches.everything("applications"))
        return next((each for each in found if each), "")


def complaint_of(application: Mapping[str, Any]) -> str:
    """What one Application says; empty where it says nothing."""
    status = application.get("status") or {}
    words = [str(condition.get("message")) for condition in status.get("conditions") or ()]
    operation = status.get("operationState") or {}
    # One that is tried again and again says so and no more; why, is with what it was about.
    for result in (operation.get("syncResult") or {}).get("resources") or ():
        if result.get("status") == "SyncFailed":
            words.append(f"{result.get('kind')} {result.get('name')}: {result.get('message')}")
    if operation.get("phase") in ("Failed", "Error"):
        words.append(str(operation.get("message")))
    return f"Application {application['metadata']['name']}: {words[0][:400]}" if words else ""


def _inventory_entry(spoke: LiveCluster, shape: FleetShape) -> dict[str, str]:
    config = json.loads(spoke.cluster.identities[shape.user].read_text("utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = {
        "caData": cluster["certificate-authority-data"],
        "certData": user["client-certificate-data"],
        "keyData": user["client-key-data"],
    }
    return {
        "name": spoke.name,
        "server": cluster["server"],
        "namespaces": shape.namespace,
        "clusterResources": "true",
        "config": json.dumps({"tlsClientConfig": trust}),
    }


def engine_settings(root: Path) -> dict[str, str]:
    """What hub/settings.yaml says of health and differences, for argocd-cm.

    Raises:
        BadSubmission: it is no ConfigMap, or says something else.
    """
    file = root / SETTINGS_FILE
    if not file.is_file():
        return {}
    documents = load_documents(file, shown_as=SETTINGS_FILE)
    if not documents:
        raise BadSubmission("is empty", file=SETTINGS_FILE, fix="write a ConfigMap with data, or remove it")
    document = documents[0]
    data = document.data.get("data") if isinstance(document.data, dict) else None
    if not isinstance(data, dict) or document.data.get("kind") != "ConfigMap":
        raise document.refusal("is no ConfigMap with data", fix="write kind: ConfigMap and data:")
    for key, value in data.items():
        if not key.startswith(_CUSTOMIZATIONS) or not isinstance(value, str):
            raise document.refusal(
                f"the key {key!r} is not for the fleet to set", ("data", key),
                fix=f"only texts under {_CUSTOMIZATIONS}.… are taken over",
            )  # fmt: skip
    return dict(data)


def _secret(kube: Kube, name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> None:
    body = {"metadata": {"name": name, "labels": dict(labels)}, "stringData": dict(data)}
    kube.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)
