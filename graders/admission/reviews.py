"""What an API server is asked of a user: whether it may do what is not its business; pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
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
_SELDOM = (
    ("", "persistentvolumeclaims"), ("", "endpoints"), ("apps", "statefulsets"), ("apps", "replicasets"),
    ("batch", "cronjobs"), ("networking.k8s.io", "ingresses"), ("policy", "poddisruptionbudgets"),
    ("bitnami.com", "sealedsecrets"), ("discovery.k8s.io", "endpointslices"),
    ("autoscaling", "horizontalpodautoscalers"),
)  # fmt: skip
"""Asked of one namespace: who may write them there by a ClusterRole may anywhere."""
_CLUSTER = (
    ("", "nodes"), ("", "persistentvolumes"), (_RBAC, "clusterroles"), (_RBAC, "clusterrolebindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"), ("storage.k8s.io", "storageclasses"),
    ("apiregistration.k8s.io", "apiservices"),
)  # fmt: skip
_SOMEBODY = ("users", "groups", "serviceaccounts")
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


def questions(own: str, foreign: Sequence[str], names: Sequence[str] = ()) -> Iterator[Question]:
    """What a user who deploys to the namespace `own` must not be allowed, each on its own.

    `foreign` are other namespaces, of which it may not be allowed to change the first itself; `names` are
    those that rules about single objects give, since a question about any object is not met by one.
    """
    for (group, resource), verb in product(_SELDOM, WRITES):
        yield Question(verb, group, resource, foreign[0])
    for namespace in (*foreign, ""):
        for (group, resource), verb in product(_NAMESPACED, WRITES):
            yield Question(verb, group, resource, namespace)
        for verb in ("get", "list", "watch"):
            yield Question(verb, "", "secrets", namespace)
        for resource in _WAYS_IN:
            yield Question("create", "", resource, namespace)
    for (group, resource), verb in product(_CLUSTER, WRITES):
        yield Question(verb, group, resource)
    for verb in WRITES:
        yield Question(verb, "", "namespaces", name="kube-system")
        yield Question(verb, "", "namespaces", name=foreign[0])
        for resource in ("roles", "rolebindings"):
            yield Question(verb, _RBAC, resource, own)
        yield from _everything(verb, own)
    for namespace in (own, ""):
        yield Question("*", "*", "*", namespace)
        for resource in _SOMEBODY:
            yield Question("impersonate", "", resource, namespace)
    for name in ("", *names):
        yield from _somebody_else(own, name)
    for name, namespace in product(names, foreign):
        yield Question("get", "", "secrets", namespace, name)


def _somebody_else(own: str, name: str) -> Iterator[Question]:
    """Whether it may give itself what a role has, or be somebody else, of any name or of this one."""
    for verb in ("escalate", "bind"):
        yield Question(verb, _RBAC, "clusterroles", name=name)
        yield Question(verb, _RBAC, "roles", own, name)
    for resource in _SOMEBODY if name else ():
        yield Question("impersonate", "", resource, name=name)


def single_names(roles: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of single objects that rules of these roles are about."""
    rules = [rule for each in roles for rule in each.get("rules") or ()]
    return sorted({str(name) for rule in rules for name in rule.get("resourceNames") or ()})


def _everything(verb: str, own: str) -> Iterator[Question]:
    """Whether one rule gives all there is, or all of a group."""
    for namespace in (own, ""):
        yield Question(verb, "*", "*", namespace)
        yield Question(verb, "", "*", namespace)
    for group in _GROUPS:
        yield Question(verb, group, "*", own)
