"""RBAC as lab 1 judges it: what the manifests grant the operator, what it used, what is on the list."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
from graders.lab1.api import GROUP

FORBIDDEN_VERBS = frozenset({"escalate", "bind", "impersonate"})

_ALL = ("get", "list", "watch", "create", "update", "patch", "delete")

_LIST: Mapping[tuple[str, str], tuple[str, ...]] = {
    (GROUP, "mltrainingjobs"): ("get", "list", "watch", "update", "patch", "delete"),
    (GROUP, "mltrainingjobs/status"): ("get", "update", "patch"),
    (GROUP, "mltrainingjobs/finalizers"): ("update",),
    ("", "pods"): _ALL,
    ("", "services"): _ALL,
    ("", "events"): ("create", "patch"),
    ("events.k8s.io", "events"): ("create", "patch"),
    ("", "nodes"): ("get", "list", "watch"),
    ("apiextensions.k8s.io", "customresourcedefinitions"): ("list", "watch"),
    ("", "namespaces"): ("list", "watch"),
    ("kopf.dev", "kopfpeerings"): _ALL,
    ("kopf.dev", "clusterkopfpeerings"): _ALL,
}

_LEASES = ("coordination.k8s.io", "leases")
_LEASE_VERBS = ("get", "create", "update", "patch")


@dataclass(frozen=True)
class Right:
    """One granted verb on one resource; `namespace` is empty for the whole cluster."""

    group: str
    resource: str
    verb: str
    namespace: str
    source: str

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else " in all namespaces"
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{where}"


def in_list(right: Right, namespace: str) -> bool:
    """Whether a right is on the lab's list; leases only in the operator's own namespace."""
    if (right.group, right.resource) == _LEASES:
        return right.verb in _LEASE_VERBS and right.namespace == namespace
    return right.verb in _LIST.get((right.group, right.resource), ())


def used(events: Iterable[AuditEvent]) -> frozenset[tuple[str, str, str]]:
    """Group, resource (with subresource) and verb of every request, as RBAC names them."""
    return frozenset(
        (e.group, f"{e.resource}/{e.subresource}" if e.subresource else e.resource, e.verb) for e in events
    )


def granted(bundle: Bundle, namespace: str, account: str) -> tuple[Right, ...]:
    """Everything the installed roles and bindings grant the operator's ServiceAccount."""
    found: dict[Right, None] = {}
    for binding in _bindings(bundle, namespace, account):
        for role in _roles(bundle, binding):
            for right in _rights(role, binding):
                found[right] = None
    return tuple(found)


def _items(bundle: Bundle, plural: str) -> list[dict[str, Any]]:
    return [
        item
        for request in bundle.requests
        if request.track == "install" and request.name == plural
        for item in request.response
    ]


def _bindings(bundle: Bundle, namespace: str, account: str) -> Iterator[dict[str, Any]]:
    groups = {
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    }
    user = f"system:serviceaccount:{namespace}:{account}"
    for plural in ("rolebindings", "clusterrolebindings"):
        for binding in _items(bundle, plural):
            for subject in binding.get("subjects") or ():
                kind, name = subject.get("kind"), subject.get("name")
                if (
                    (kind == "ServiceAccount" and (subject.get("namespace"), name) == (namespace, account))
                    or (kind == "Group" and name in groups)
                    or (kind == "User" and name == user)
                ):
                    yield binding
                    break


def _roles(bundle: Bundle, binding: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ref = binding["roleRef"]
    if ref["kind"] == "ClusterRole":
        matches = [r for r in _items(bundle, "clusterroles") if r["metadata"]["name"] == ref["name"]]
        # A role that came with the cluster (cluster-admin, edit, view) is not on record rule by rule.
        yield from matches or [
            {
                "metadata": {"name": ref["name"]},
                "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
            }
        ]
        return
    space = binding["metadata"].get("namespace")
    for role in _items(bundle, "roles"):
        if role["metadata"]["name"] == ref["name"] and role["metadata"].get("namespace") == space:
            yield role


def _rights(role: Mapping[str, Any], binding: Mapping[str, Any]) -> Iterator[Right]:
    namespace = str(binding["metadata"].get("namespace") or "")
    source = f"{binding['roleRef']['kind']} {role['metadata']['name']}"
    for rule in role.get("rules") or ():
        for verb in rule.get("verbs") or ():
            for group in rule.get("apiGroups") or ():
                for resource in rule.get("resources") or ():
                    yield Right(group, resource, verb, namespace, source)
            for url in rule.get("nonResourceURLs") or ():
                yield Right("", str(url), verb, "", source)
