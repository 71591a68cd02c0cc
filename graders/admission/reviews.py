"""What an API server is asked of a user: whether it may do what is not its business; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.admission.records import AccessAnswer

WRITES = ("create", "update", "patch", "delete")
_RBAC = "rbac.authorization.k8s.io"
_NAMESPACED = (
    ("", "configmaps"), ("", "secrets"), ("", "services"), ("", "pods"), ("", "serviceaccounts"),
    ("apps", "deployments"), ("apps", "daemonsets"), ("batch", "jobs"),
    ("networking.k8s.io", "networkpolicies"),
    (_RBAC, "roles"), (_RBAC, "rolebindings"),
)  # fmt: skip
_CLUSTER = (
    ("", "nodes"), ("", "persistentvolumes"), (_RBAC, "clusterroles"), (_RBAC, "clusterrolebindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"), ("storage.k8s.io", "storageclasses"),
    ("apiregistration.k8s.io", "apiservices"),
)  # fmt: skip
_WAYS_IN = ("pods/exec", "pods/attach", "serviceaccounts/token")
"""To create one of these is to be somebody else."""
_GROUPS = (
    "apps", "autoscaling", "batch", "networking.k8s.io", "policy", "discovery.k8s.io", _RBAC, "bitnami.com",
    "scheduling.k8s.io", "admissionregistration.k8s.io", "policies.kyverno.io", "kyverno.io",
    "templates.gatekeeper.sh", "constraints.gatekeeper.sh",
)  # fmt: skip
"""API groups beside the core, of which one rule may give everything."""


@dataclass(frozen=True)
class Question:
    """One thing that a user may or may not; `name` empty means any, `resource` may be `pods/exec`."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def review(self, user: str) -> dict[str, Any]:
        """The SubjectAccessReview that asks it."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {"verb": self.verb, "group": self.group, "resource": resource,
                      "subresource": subresource, "namespace": self.namespace, "name": self.name}  # fmt: skip
        spec = {"user": user, "groups": ["system:authenticated"], "resourceAttributes": attributes}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}

    def answered(self, t: float, cluster: str, answer: Mapping[str, Any]) -> AccessAnswer:
        """The answer as a record."""
        allowed = bool(answer["status"].get("allowed"))
        return AccessAnswer(
            t, cluster, self.verb, self.group, self.resource, self.namespace, self.name, allowed
        )  # fmt: skip


def questions(own: str, foreign: Sequence[str]) -> Iterator[Question]:
    """What a user who deploys to the namespace `own` must not be allowed, each on its own.

    `foreign` are other namespaces, of which it may not be allowed to change the first itself.
    """
    for namespace in (*foreign, ""):
        for group, resource in _NAMESPACED:
            for verb in WRITES:
                yield Question(verb, group, resource, namespace)
        for verb in ("get", "list", "watch"):
            yield Question(verb, "", "secrets", namespace)
        for resource in _WAYS_IN:
            yield Question("create", "", resource, namespace)
    for group, resource in _CLUSTER:
        for verb in WRITES:
            yield Question(verb, group, resource)
    for verb in WRITES:
        yield Question(verb, "", "namespaces", name="kube-system")
        yield Question(verb, "", "namespaces", name=foreign[0])
        for resource in ("roles", "rolebindings"):
            yield Question(verb, _RBAC, resource, own)
        yield from _everything(verb, own)
    for namespace in (own, ""):
        yield Question("*", "*", "*", namespace)
        yield Question("impersonate", "", "users", namespace)
        yield Question("impersonate", "", "serviceaccounts", namespace)
    for verb in ("escalate", "bind"):
        yield Question(verb, _RBAC, "clusterroles")
        yield Question(verb, _RBAC, "roles", own)


def _everything(verb: str, own: str) -> Iterator[Question]:
    """Whether one rule gives all there is, or all of a group."""
    for namespace in (own, ""):
        yield Question(verb, "*", "*", namespace)
        yield Question(verb, "", "*", namespace)
    for group in _GROUPS:
        yield Question(verb, group, "*", own)
