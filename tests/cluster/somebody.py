"""A cluster that belongs to somebody, with things of theirs in it, and a picture of all that is there."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from graders.clusters.provider import ClusterSpec, ProviderOptions
from graders.clusters.registry import provider_named
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Silent

WITHIN_S = 90.0
CONTEXT = "theirs"
SHOP = "/api/v1/namespaces/shop"

_NOISE = frozenset({"events", "leases"})
"""What changes by itself."""

Picture = dict[str, Any]


@dataclass
class Somebody:
    """Their cluster, as its owner sees it; `kubeconfig` has the context `theirs` and another."""

    kube: Kube
    kubeconfig: Path
    last: Picture = field(default_factory=dict)

    @property
    def options(self) -> ProviderOptions:
        return ProviderOptions(self.kubeconfig, CONTEXT)

    def picture(self) -> Picture:
        """Every object of every kind, without what changes by itself."""
        return wait_for(self._picture, timeout_s=WITHIN_S, interval_s=0.5)

    def _picture(self) -> Picture:
        try:
            collections = list(_collections(self.kube))
            with ThreadPoolExecutor(8) as pool:
                listings = list(pool.map(lambda path: self.kube.get(path)["items"], collections))
        except ApiRefused as refused:
            # A kind that just comes or goes.
            raise NotYet(str(refused)) from refused
        return {
            f"{path} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": _still(item)
            for path, items in zip(collections, listings, strict=True)
            for item in items
        }

    def still(self) -> Picture:
        """The picture once nothing moves any more: two that are the same, the first maybe of long ago."""

        def probe() -> Picture:
            now = self.picture()
            if now != self.last:
                self.last = now
                raise NotYet("it moves")
            return now

        return wait_for(probe, timeout_s=WITHIN_S, interval_s=1.0)

    def is_as(self, before: Picture) -> None:
        """Wait until everything is as it was; controllers may still have something to tidy."""

        def probe() -> None:
            now = self.picture()
            more, less = now.keys() - before.keys(), before.keys() - now.keys()
            changed = [
                f"{key}: {_difference(before[key], now[key])}"
                for key in now.keys() & before.keys()
                if now[key] != before[key]
            ]
            if more or less or changed:
                raise NotYet(f"more: {sorted(more)}\nless: {sorted(less)}\nchanged: {changed}")

        try:
            wait_for(probe, timeout_s=WITHIN_S, interval_s=0.5)
        except TimedOut as mismatch:
            raise AssertionError(f"the cluster is not as it was\n{mismatch}") from None


@contextlib.contextmanager
def somebodys_cluster(folder: Path) -> Iterator[Somebody]:
    """Have one while the block runs; `folder` takes the kubeconfig and the certificates it names."""
    with provider_named("embedded").provision(ClusterSpec(name="theirs"), Silent()) as cluster:
        kube = Kube(cluster.kubeconfig)
        furnish(kube)
        yield Somebody(kube, write_kubeconfig(folder, json.loads(cluster.kubeconfig.read_text())))


def write_kubeconfig(folder: Path, made: dict[str, Any]) -> Path:
    """As people have them: several contexts, a current one, and certificates in files beside it."""
    cluster, user = made["clusters"][0]["cluster"], made["users"][0]["user"]
    for name, data in (
        ("ca.crt", cluster["certificate-authority-data"]),
        ("me.crt", user["client-certificate-data"]),
        ("me.key", user["client-key-data"]),
    ):
        (folder / name).write_bytes(base64.b64decode(data))
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [
            {"name": "c", "cluster": {"server": cluster["server"], "certificate-authority": "ca.crt"}},
            {"name": "away", "cluster": {"server": "https://127.0.0.1:9"}},
        ],
        "users": [{"name": "me", "user": {"client-certificate": "me.crt", "client-key": "me.key"}}],
        "contexts": [
            {"name": CONTEXT, "context": {"cluster": "c", "user": "me", "namespace": "shop"}},
            {"name": "away", "context": {"cluster": "away", "user": "me"}},
        ],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path


def furnish(kube: Kube) -> None:
    """A shop that runs, and some of what clusters have besides."""
    labels = {"matchLabels": {"app": "till"}}
    containers = {"containers": [{"name": "main", "image": "any"}]}
    template = {"metadata": {"labels": {"app": "till"}}, "spec": containers}
    everywhere = {
        **containers,
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
    }
    meta = {"name": "till", "namespace": "shop"}
    for manifest in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"open": "9"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"pin": "0000"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "till"}, "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"replicas": 2, "selector": labels, "template": template},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "agent", "namespace": "kube-system"},
            "spec": {"selector": labels, "template": {**template, "spec": everywhere}},
        },
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "shoppers"},
            "value": 7,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "shopkeeper"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        },
    ):
        answer = kube.apply(manifest)
        assert answer.ok, answer.message

    def runs() -> None:
        pods = [pod for place in (SHOP, "/api/v1/namespaces/kube-system") for pod in _pods(kube, place)]
        running = sum(pod["status"].get("phase") == "Running" for pod in pods)
        if running < 2 + 4:
            raise NotYet(f"{running} pods run")

    wait_for(runs, timeout_s=WITHIN_S)


def _pods(kube: Kube, place: str) -> list[dict[str, Any]]:
    return list(kube.get(f"{place}/pods")["items"])


def _collections(kube: Kube) -> Iterator[str]:
    groups = [("/api/v1", "v1")] + [
        (f"/apis/{version['groupVersion']}", version["groupVersion"])
        for group in kube.get("/apis")["groups"]
        for version in [group["preferredVersion"]]
    ]
    for root, _ in groups:
        for resource in kube.get(root)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"] and resource["name"] not in _NOISE:
                yield f"{root}/{resource['name']}"


def _still(item: dict[str, Any]) -> dict[str, Any]:
    item = json.loads(json.dumps(item))
    for name in ("resourceVersion", "managedFields", "generation"):
        item["metadata"].pop(name, None)
    for condition in (item.get("status") or {}).get("conditions") or ():
        condition.pop("lastHeartbeatTime", None)
    return dict(item)


def _difference(before: Any, now: Any) -> str:
    keys = [key for key in {*before, *now} if before.get(key) != now.get(key)]
    return ", ".join(f"{key}: {before.get(key)} -> {now.get(key)}" for key in keys)[:500]
