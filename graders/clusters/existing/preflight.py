"""What has to be so before a run may touch somebody's cluster; everything that is not so is said at once."""

import re
from collections.abc import Mapping
from typing import Any

from graders.clusters.existing.finalizers import NODE_LEASES
from graders.clusters.existing.ownedscope import RUN, run_of
from graders.clusters.existing.permissions import missing, missing_to_grant
from graders.clusters.existing.placement import GROUP, MUTATING, VALIDATING
from graders.clusters.provider import ClusterSpec, permissions
from graders.faults import UsageError
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import read_path, resource_path

OLDEST = (1, 30)
"""The first minor version with all that a lab may use: policies in CEL are served as v1."""

OWN = (
    *permissions("", "namespaces", "get create patch delete"),
    *permissions("", "serviceaccounts", "get"),
    *permissions("", "pods", "get list create delete deletecollection"),
)
"""To have a namespace and a pod, and to be rid of them."""

SIMULATING = (
    *permissions("", "nodes", "get list watch create patch delete"),
    *permissions("", "nodes/status", "patch"),
    *permissions("", "pods", "watch"),
    *permissions("", "pods/status", "patch"),
    *permissions(
        "coordination.k8s.io", "leases", "get list watch create update patch delete", namespace=NODE_LEASES
    ),
    *permissions(GROUP, f"{MUTATING} {MUTATING.removesuffix('ies')}ybindings", "get create delete"),
    *permissions(GROUP, f"{VALIDATING} {VALIDATING.removesuffix('ies')}ybindings", "get create delete"),
)
"""To bring nodes, play their kubelets, and lead the pods of a run to them."""


def check_version(kube: Kube, context: str) -> str:
    """The cluster's version.

    Raises:
        UsageError: it does not know us, or is too old. InfraFault: it does not answer.
    """
    answer = kube.request("GET", "/version")
    if answer.code == 401:
        raise UsageError(
            f"the cluster of context {context!r} does not know who you are",
            fix=f"log in first: `kubectl --context {context} version` has to answer",
        )
    if not answer.ok:
        raise ApiRefused("GET", "/version", answer)
    version = str(answer.body["gitVersion"])
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise UsageError(
            f"the cluster of context {context!r} has Kubernetes {version}",
            fix=f"use one with v{OLDEST[0]}.{OLDEST[1]} or later",
        )
    return version


def check_permissions(kube: Kube, spec: ClusterSpec, context: str, user: str, *, simulated: bool) -> None:
    """See that we may do all that the grading does.

    Raises:
        UsageError: we may not; lists exactly what is missing.
    """
    wanted = (*OWN, *(SIMULATING if simulated else ()), *spec.requirements.permissions)
    lacking = missing(kube, wanted)
    to_grant = missing_to_grant(kube, spec.requirements.objects)
    if not lacking and not to_grant:
        return
    lines = [*map(str, lacking)]
    lines += [f"{each} (to grant it as the manifests do)" for each in to_grant if each not in lacking]
    raise UsageError(
        f"{user or 'this user'} may not do in context {context!r} what grading {spec.name} takes. "
        "Missing:\n  " + "\n  ".join(lines),
        fix="have these granted, or use a cluster of your own; nothing was changed",
    )


def check_free(kube: Kube, spec: ClusterSpec, context: str) -> None:
    """See that nothing is there that a lab would overwrite.

    Raises:
        UsageError: something is; names all of it.
    """
    found = [told for path in _claimed(kube, spec) if (told := _told(kube, path))]
    if found:
        raise UsageError(
            f"in context {context!r} there is already what grading {spec.name} would install:\n  "
            + "\n  ".join(found),
            fix="have whoever installed it remove it, or use another cluster; nothing was changed. What a "
            "dead run of kubeproof left, `kubeproof cluster sweep` removes where it ran; elsewhere "
            f"look with `kubectl get namespaces,nodes,crds,clusterroles,clusterrolebindings -L {RUN}`",
        )


def _claimed(kube: Kube, spec: ClusterSpec) -> list[str]:
    """Paths of what is cluster-wide, and of the namespaces of all the rest."""
    paths: dict[str, None] = {}
    for manifest in spec.requirements.objects:
        try:
            path = kube.path_for(manifest)
        except ApiRefused:
            # A kind that comes with the submission: there can be nothing of it.
            continue
        target = read_path(path)
        if target is not None and target.namespace:
            path = resource_path("v1", "namespaces", name=target.namespace)
        paths[path] = None
    return list(paths)


def _told(kube: Kube, path: str) -> str:
    found: Mapping[str, Any] | None = kube.find(path)
    target = read_path(path)
    if found is None or target is None:
        return ""
    whose = f", of kubeproof's run {run}" if (run := run_of(found)) else ""
    return f"{target.plural}{'.' + target.group if target.group else ''} {target.name}{whose}"
