"""Installs what a learner handed in, as a cluster's owner would, and gives the operator its identity."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graders.evidence.recording import Recording
from graders.evidence.records import Request
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import Answer, Kube
from graders.kube.paths import resource_path
from graders.lab1.api import API_VERSION, CRD, PLURAL, VERSION
from graders.lab1.manifest import Lab1Manifest
from graders.model import Guest
from graders.polling import NotYet, TimedOut, wait_for
from graders.submissions.manifests import Manifest

_RBAC = "rbac.authorization.k8s.io/v1"
ALLOWED: Mapping[str, str] = {
    "ClusterKopfPeering": "kopf.dev/v1",
    "ClusterRole": _RBAC,
    "ClusterRoleBinding": _RBAC,
    "ConfigMap": "v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "Deployment": "apps/v1",
    "KopfPeering": "kopf.dev/v1",
    "LimitRange": "v1",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "PriorityClass": "scheduling.k8s.io/v1",
    "ResourceQuota": "v1",
    "Role": _RBAC,
    "RoleBinding": _RBAC,
    "Secret": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
}
"""Kinds a submission may install, with their apiVersion. Webhooks and aggregated APIs would let it stand in
the grader's way. kopf elects a leader by an object that it never makes itself, so that one may come along."""

DRY_RUN = frozenset({"Deployment"})
"""Checked by the API server but not stored: simulated pods of the operator would take places."""

TRACK = "install"

_FORBIDDEN = 403

EARLY_S = 3.0
"""How long to wait for a CRD before the controllers start; later it would only start them later."""


def check_kinds(manifests: Sequence[Manifest], wanted: Lab1Manifest) -> None:
    """See that the manifests are of kinds that may be installed and hold what the operator needs.

    Raises:
        BadSubmission: names the file and line.
    """
    for manifest in manifests:
        if manifest.kind not in ALLOWED:
            raise BadSubmission(
                f"{manifest.kind} {manifest.name} may not be installed by a submission",
                file=manifest.file,
                line=manifest.line,
                fix=f"take it out; allowed are {', '.join(ALLOWED)}",
            )
        version = ALLOWED[manifest.kind]
        if manifest.data["apiVersion"] != version:
            raise BadSubmission(
                f"{manifest.kind} {manifest.name} is of {manifest.data['apiVersion']}, which no cluster has",
                file=manifest.file,
                line=manifest.line,
                fix=f'write "apiVersion: {version}"',
            )
        namespace = _namespace(manifest)
        if re.fullmatch(r"kube-.*", namespace) or (
            manifest.kind == "Namespace" and manifest.name == "default"
        ):
            raise BadSubmission(
                f"{manifest.kind} {manifest.name} is in {namespace}, which belongs to the cluster",
                file=manifest.file,
                line=manifest.line,
                fix=f"use the operator's own namespace, {wanted.operator.namespace}",
            )
    _expect_account(manifests, wanted)
    crds = [m for m in manifests if m.kind == "CustomResourceDefinition"]
    if not any(m.name == CRD for m in crds):
        there = f"; there is {', '.join(m.name for m in crds)}" if crds else ""
        raise BadSubmission(
            f"the manifests hold no CustomResourceDefinition {CRD}{there}",
            file=crds[0].file if crds else "submission.yaml",
            line=crds[0].line if crds else None,
            fix=f"call it {CRD}" if crds else "add the CRD's file to `manifests`",
        )


def _expect_account(manifests: Sequence[Manifest], wanted: Lab1Manifest) -> None:
    namespace, name = wanted.operator.namespace, wanted.operator.service_account
    accounts = [m for m in manifests if m.kind == "ServiceAccount"]
    if any((_namespace(m), m.name) == (namespace, name) for m in accounts):
        return
    problem = f"the manifests hold no ServiceAccount {name} in namespace {namespace}"
    for found in accounts:
        if found.name == name:
            there = f"is in {_namespace(found)}" if _namespace(found) else "has no namespace"
            raise BadSubmission(
                f"{problem}: this one {there}",
                file=found.file,
                line=found.line,
                fix=f'write "namespace: {namespace}" in its metadata, or correct operator.namespace',
            )
    others = ", ".join(f"{m.name} in {_namespace(m) or 'no namespace'}" for m in accounts)
    raise BadSubmission(
        problem + (f"; there is {others}" if others else ""),
        file="submission.yaml",
        fix="add it to the manifests, or correct operator.namespace and operator.serviceAccount",
    )


def namespaces_of(manifests: Sequence[Manifest], wanted: Lab1Manifest) -> frozenset[str]:
    """The namespaces that a submission wants: those it brings, and those its objects are in."""
    return frozenset({_namespace(m) for m in manifests if _namespace(m)} | {wanted.operator.namespace})


def install(
    kube: Kube,
    manifests: Sequence[Manifest],
    wanted: Lab1Manifest,
    recording: Recording | None,
    deadline_s: float,
    cluster: str = "",
) -> None:
    """Apply the manifests and wait until the CRD is established; answers go on record where there is one.

    Raises:
        BadSubmission: the API server refused one, or the CRD never gets established.
        InfraFault: the API server did not answer.
    """
    spaces = {m.name for m in manifests if m.kind == "Namespace"}
    for space in sorted(namespaces_of(manifests, wanted) - spaces):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    for manifest in manifests:
        answer = _apply(kube, manifest, deadline_s)
        if recording is not None:
            recording.writer.add(
                Request(
                    recording.clock.now(), TRACK, "apply", "PATCH",
                    f"{manifest.kind}/{manifest.name}", answer.code, manifest.data,
                    None if answer.ok else answer.body, cluster=cluster,
                )
            )  # fmt: skip
        if answer.code == _FORBIDDEN and kube.guest is not None:
            raise InfraFault(
                f"this cluster does not let {manifest.kind} {manifest.name} be installed: {answer.message}",
                fix="its own policies are nothing that a submission could answer for; use another cluster",
            )
        if not answer.ok:
            raise BadSubmission(
                f"the API server refused {manifest.kind} {manifest.name}: {answer.message}",
                file=manifest.file,
                line=manifest.line,
                fix="mend the manifest; `kubectl apply --dry-run=server` shows the same answer, "
                "for instance on the cluster of `kubeproof cluster up`",
            )
    _wait_established(kube, manifests, deadline_s)
    _wait_served(kube, deadline_s)


def apply_early(kube: Kube, manifests: Sequence[Manifest]) -> None:
    """Apply the CRDs and wait briefly until they are served; refusals are left to `install`."""
    kinds = [manifest for manifest in manifests if manifest.kind == "CustomResourceDefinition"]
    applied = [kube.apply(manifest.data).ok for manifest in kinds]
    if all(applied):
        with contextlib.suppress(BadSubmission):
            _wait_served(kube, EARLY_S)


def operator_token(kube: Kube, wanted: Lab1Manifest) -> str:
    """A token of the operator's ServiceAccount, good for a day.

    Raises:
        ApiRefused, InfraFault: the API server did not give one.
    """
    operator = wanted.operator
    path = resource_path(
        "v1", "serviceaccounts",
        namespace=operator.namespace, name=operator.service_account, subresource="token",
    )  # fmt: skip
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 86400},
    }
    return str(kube.create(path, body)["status"]["token"])


def operator_user(wanted: Lab1Manifest) -> str:
    """The name under which the API server knows the operator."""
    return f"system:serviceaccount:{wanted.operator.namespace}:{wanted.operator.service_account}"


def record_rights(kube: Kube, recording: Recording, guest: Guest | None = None, cluster: str = "") -> None:
    """Put every role and binding on record that did not come with the cluster.

    In a cluster of somebody's only those of the submission: the others are not ours to tell.
    """
    root = "/apis/rbac.authorization.k8s.io/v1"
    for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
        listing = kube.get(f"{root}/{plural}")
        items = [item for item in listing["items"] if not _came_with_cluster(item, guest)]
        for item in items:
            item["metadata"].pop("managedFields", None)
        recording.writer.add(
            Request(
                recording.clock.now(), TRACK, plural, "GET", f"{root}/{plural}", 200, None, items,
                cluster=cluster,
            )
        )  # fmt: skip


def _apply(kube: Kube, manifest: Manifest, deadline_s: float) -> Answer:
    data = dict(manifest.data)
    if manifest.kind in DRY_RUN:
        path = kube.path_for(data)
        query = {"fieldManager": "kubeproof", "force": "true", "dryRun": "All", "fieldValidation": "Strict"}
        return kube.request(
            "PATCH", path, query=query, body=data, content_type="application/apply-patch+yaml"
        )

    def applied() -> Answer:
        answer = kube.apply(data)
        # A namespace just made is not yet in every cache of the API server.
        if answer.code in (404, 429, 500, 503):
            raise NotYet(answer.message)
        return answer

    try:
        return wait_for(applied, timeout_s=min(3.0, deadline_s), interval_s=0.1)
    except TimedOut:
        return kube.apply(data)


def _wait_established(kube: Kube, manifests: Sequence[Manifest], deadline_s: float) -> None:
    path = resource_path("apiextensions.k8s.io/v1", "customresourcedefinitions", name=CRD)

    def established() -> None:
        found = {c["type"]: c for c in kube.get(path).get("status", {}).get("conditions", ())}
        if found.get("Established", {}).get("status") != "True":
            refusal = found.get("NamesAccepted", {}).get("message") or "no condition yet"
            raise NotYet(refusal)

    try:
        wait_for(established, timeout_s=deadline_s)
    except TimedOut as error:
        source = next(m for m in manifests if m.kind == "CustomResourceDefinition" and m.name == CRD)
        raise BadSubmission(
            f"the CRD {CRD} is not Established after {deadline_s:g} s: {error}",
            file=source.file,
            line=source.line,
            fix="mend its names and versions; `kubectl describe crd` on a cluster tells their state",
        ) from error


def _wait_served(kube: Kube, deadline_s: float) -> None:
    """An established kind is served a moment later."""

    def served() -> None:
        answer = kube.request("GET", resource_path(API_VERSION, PLURAL))
        if not answer.ok:
            raise NotYet(answer.message)

    try:
        wait_for(served, timeout_s=deadline_s)
    except TimedOut as error:
        raise BadSubmission(
            f"the cluster does not serve {PLURAL} of {API_VERSION}: {error}",
            file="submission.yaml",
            fix=f"the CRD {CRD} must serve version {VERSION}",
        ) from error


def _namespace(manifest: Manifest) -> str:
    if manifest.kind == "Namespace":
        return manifest.name
    return str(manifest.data["metadata"].get("namespace") or "")


def _came_with_cluster(item: Mapping[str, Any], guest: Guest | None) -> bool:
    metadata = item["metadata"]
    if guest is not None:
        namespace = metadata.get("namespace")
        return not (guest.owns(namespace) if namespace else guest.made(item))
    return "kubernetes.io/bootstrapping" in (metadata.get("labels") or {})
