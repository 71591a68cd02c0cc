"""What lab 1 does in a cluster that belongs to somebody: what it must be allowed, and what it installs."""

from collections.abc import Mapping, Sequence
from typing import Any

from graders.clusters.provider import ClusterRequirements, permissions
from graders.lab1.api import GROUP, PLURAL
from graders.lab1.install import namespaces_of
from graders.lab1.manifest import Lab1Manifest
from graders.lab1.policies import admission_manifests
from graders.submissions.manifests import Manifest

_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"

_ACTING = (
    *permissions("", "namespaces", "get create patch delete"),
    *permissions("", "pods", "get list watch create patch delete"),
    *permissions("", "pods/eviction", "create"),
    *permissions("", "services", "list watch patch"),
    *permissions("", "events", "list watch"),
    *permissions("", "configmaps", "get create"),
    *permissions("", "serviceaccounts", "get create patch"),
    *permissions("", "serviceaccounts/token", "create"),
    *permissions("", "nodes", "get list create patch delete"),
    *permissions(GROUP, PLURAL, "get list watch create patch delete"),
    *permissions(GROUP, f"{PLURAL}/status", "get patch"),
    *permissions("apiextensions.k8s.io", "customresourcedefinitions", "get create patch delete"),
    *permissions("apps", "deployments", "create patch"),
    *permissions("coordination.k8s.io", "leases", "deletecollection"),
    *permissions("scheduling.k8s.io", "priorityclasses", "get create delete"),
    *permissions(
        _ADMISSION,
        "validatingadmissionpolicies validatingadmissionpolicybindings",
        "get create patch delete",
    ),
    *permissions(_RBAC, "roles rolebindings clusterroles clusterrolebindings", "list"),
)
"""Of the tracks and the recorders."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "ClusterKopfPeering": ("kopf.dev", "clusterkopfpeerings"),
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "ConfigMap": ("", "configmaps"),
    "KopfPeering": ("kopf.dev", "kopfpeerings"),
    "LimitRange": ("", "limitranges"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
    "PriorityClass": ("scheduling.k8s.io", "priorityclasses"),
    "ResourceQuota": ("", "resourcequotas"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "Secret": ("", "secrets"),
    "Service": ("", "services"),
}
"""Kinds that a submission may install, over those that acting needs anyway."""


def requirements(manifests: Sequence[Manifest], wanted: Lab1Manifest) -> ClusterRequirements:
    """What installing these manifests and acting on them takes."""
    kinds = sorted({manifest.kind for manifest in manifests} & _KINDS.keys())
    installing = [
        permission
        for group, plural in map(_KINDS.__getitem__, kinds)
        for permission in permissions(group, plural, "get create patch delete")
    ]
    objects: list[Mapping[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in sorted(namespaces_of(manifests, wanted))
    ]
    objects += [manifest.data for manifest in manifests]
    objects += [
        {key: each[key] for key in ("apiVersion", "kind", "metadata")} for each in admission_manifests()
    ]
    return ClusterRequirements((*_ACTING, *installing), objects)
