"""What may be done with a kubeconfig: asked of the API server itself, before anything is done."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from graders.clusters.provider import Permission
from graders.faults import InfraFault
from graders.kube.client import Kube

RBAC = "rbac.authorization.k8s.io"

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_EVERYTHING = Permission("*", "*", "*")
_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
_AT_ONCE = 8


def whoami(kube: Kube) -> str:
    """The name under which the API server knows us; empty where it does not say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = kube.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    if not answer.ok:
        return ""
    return str(((answer.body.get("status") or {}).get("userInfo") or {}).get("username", ""))


def missing(kube: Kube, wanted: Iterable[Permission]) -> list[Permission]:
    """Those of `wanted` that are not granted, in order.

    Raises:
        InfraFault: the API server does not say.
    """
    asked = list(dict.fromkeys(wanted))
    if not asked or _allowed(kube, _EVERYTHING):
        return []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda each: _allowed(kube, each), asked))
    return [each for each, allowed in zip(asked, answers, strict=True) if not allowed]


def missing_to_grant(kube: Kube, manifests: Sequence[Mapping[str, Any]]) -> list[Permission]:
    """What of the rights that these roles and bindings grant is not ours to grant, in order.

    Nobody may grant more than they hold, unless they may `escalate` roles and `bind` them.
    """
    roles = {(each["kind"], each["metadata"]["name"]): each for each in manifests if each["kind"] in _ROLES}
    held: list[Permission] = []
    for (kind, _), role in roles.items():
        if missing(kube, [Permission("escalate", _ROLES[kind], RBAC)]):
            held += _granted(role)
    for binding in (each for each in manifests if each["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        reference = binding.get("roleRef")
        reference = reference if isinstance(reference, Mapping) else {}
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        free = Permission("bind", _ROLES.get(kind, "clusterroles"), RBAC, name=name)
        if (kind, name) not in roles:
            # Of one that is there already only the API server knows what it grants.
            held.append(free)
        elif missing(kube, [free]):
            held += _granted(roles[kind, name])
    return missing(kube, held)


def _granted(role: Mapping[str, Any]) -> Iterator[Permission]:
    """What a role grants; where it is not shaped like one, it is the API server's to say so."""
    for rule in _items(role, "rules"):
        if isinstance(rule, Mapping):
            for verb in _items(rule, "verbs"):
                for group in _items(rule, "apiGroups"):
                    for resource in _items(rule, "resources"):
                        yield Permission(str(verb), str(resource), str(group))


def _items(value: Mapping[str, Any], field: str) -> list[Any]:
    found = value.get(field)
    return found if isinstance(found, list) else []


def _allowed(kube: Kube, permission: Permission) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": permission.namespace,
        "name": permission.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = kube.request("POST", _REVIEWS, body=body)
    if not answer.ok:
        raise InfraFault(f"the API server does not say what may be done: {answer.code} {answer.message}")
    return bool((answer.body.get("status") or {}).get("allowed"))
