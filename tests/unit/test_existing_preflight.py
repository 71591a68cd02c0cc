"""What has to be so before somebody's cluster is touched, and in which words it is told that it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.existing import preflight
from graders.clusters.existing.ownedscope import RUN
from graders.clusters.existing.permissions import missing, missing_to_grant, whoami
from graders.clusters.existing.placement import served_version
from graders.clusters.provider import (
    ClusterRequirements,
    ClusterSpec,
    Permission,
    ProviderOptions,
    check_needs,
    permissions,
)
from graders.clusters.registry import provider_named
from graders.faults import InfraFault, UsageError
from graders.kube.client import Kube
from graders.lab1.install import ALLOWED, DRY_RUN
from graders.lab1.manifest import Lab1Block
from graders.lab1.policies import policy_names
from graders.lab1.requirements import requirements
from graders.model import Capability
from graders.paths import REPOSITORY
from graders.submissions import load_submission
from graders.submissions.manifests import load_manifests
from tests.unit.tiny_api import TinyApi

RBAC = "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

Granted = Callable[[dict[str, str]], bool]


class Reviewing(TinyApi):
    """Says what is allowed; `asked_for` holds the attributes that it was asked about."""

    def __init__(self, granted: Granted = lambda _: False) -> None:
        super().__init__()
        self.granted = granted
        self.asked_for: list[dict[str, str]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == REVIEWS:
            body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
            wanted = body["spec"]["resourceAttributes"]
            self.asked_for.append(wanted)
            self._send(handler, 201, {"status": {"allowed": self.granted(wanted)}})
        else:
            super().answer(handler)


def on(*verbs: str) -> Granted:
    return lambda wanted: wanted["verb"] in verbs


# --- permissions -------------------------------------------------------------------------------------


def test_who_may_do_everything_is_asked_once(tmp_path: Path) -> None:
    api = Reviewing(lambda _: True)
    with api.client(tmp_path) as kube:
        assert missing(kube, permissions("", "pods nodes", "get list")) == []
    assert api.asked_for == [{"verb": "*", "group": "*", "resource": "*"}]


def test_exactly_what_is_not_granted_is_missing(tmp_path: Path) -> None:
    wanted = (
        *permissions("", "pods", "get create"),
        *permissions("", "pods/eviction", "create"),
        Permission("get", "leases", "coordination.k8s.io", namespace="kube-node-lease"),
    )
    api = Reviewing(on("get"))
    with api.client(tmp_path) as kube:
        assert [str(each) for each in missing(kube, wanted)] == [
            "create pods in the whole cluster",
            "create pods/eviction in the whole cluster",
        ]
    assert {"verb": "create", "resource": "pods", "subresource": "eviction"} in api.asked_for
    lease = {
        "verb": "get", "group": "coordination.k8s.io", "resource": "leases", "namespace": "kube-node-lease"
    }  # fmt: skip
    assert lease in api.asked_for


def test_permissions_are_told_as_kubectl_names_them() -> None:
    assert str(Permission("patch", "mltrainingjobs/status", "training.mod201.dev")) == (
        "patch mltrainingjobs.training.mod201.dev/status in the whole cluster"
    )
    assert str(Permission("bind", "clusterroles", RBAC, name="view")) == (
        f"bind clusterroles.{RBAC} view in the whole cluster"
    )
    assert str(Permission("get", "leases", namespace="a")) == "get leases in namespace a"


def test_an_api_server_that_does_not_say_is_a_fault(tmp_path: Path) -> None:
    api = TinyApi()
    api.paths[REVIEWS] = lambda: (500, {"message": "no authorizer"})
    with api.client(tmp_path) as kube, pytest.raises(InfraFault, match="does not say what may be done"):
        missing(kube, permissions("", "pods", "get"))


ROLE = {
    "kind": "ClusterRole",
    "metadata": {"name": "operator"},
    "rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "watch"]}],
}


def _binding(role: str) -> dict[str, Any]:
    return {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": role},
    }


def test_nobody_may_grant_more_than_they_hold_unless_they_may_escalate(tmp_path: Path) -> None:
    with Reviewing(on("get")).client(tmp_path) as kube:
        lacking = missing_to_grant(kube, [ROLE, _binding("operator")])
    assert [str(each) for each in lacking] == [
        "watch pods in the whole cluster", "watch secrets in the whole cluster"
    ]  # fmt: skip
    with Reviewing(on("escalate", "bind")).client(tmp_path) as kube:
        assert missing_to_grant(kube, [ROLE, _binding("operator")]) == []


def test_a_role_that_is_there_already_has_to_be_bound_by_name(tmp_path: Path) -> None:
    api = Reviewing()
    with api.client(tmp_path) as kube:
        lacking = missing_to_grant(kube, [_binding("cluster-admin")])
    assert [str(each) for each in lacking] == [f"bind clusterroles.{RBAC} cluster-admin in the whole cluster"]


@pytest.mark.parametrize(
    "role", [{"rules": "all"}, {"rules": [7]}, {"rules": [{"verbs": "get", "resources": 7}]}, {"rules": None}]
)
def test_what_is_not_shaped_like_a_role_is_the_api_server_s_to_refuse(
    tmp_path: Path, role: dict[str, Any]
) -> None:
    with Reviewing().client(tmp_path) as kube:
        assert missing_to_grant(kube, [{"kind": "Role", "metadata": {"name": "a"}, **role}]) == []
        assert missing_to_grant(kube, [{"kind": "RoleBinding", "metadata": {"name": "a"}, "roleRef": 7}])


def test_the_refusal_names_who_may_not_do_what_and_where(tmp_path: Path) -> None:
    spec = ClusterSpec(
        name="lab1",
        requirements=ClusterRequirements(
            permissions("", "pods/eviction", "create"), [ROLE, _binding("operator")]
        ),
    )
    with (
        Reviewing(on("get", "list", "watch", "delete")).client(tmp_path) as kube,
        pytest.raises(UsageError) as refused,
    ):
        preflight.check_permissions(kube, spec, "theirs", "jane", simulated=False)
    assert refused.value.problem.splitlines() == [
        "jane may not do in context 'theirs' what grading lab1 takes. Missing:",
        "  create namespaces in the whole cluster",
        "  patch namespaces in the whole cluster",
        "  create pods in the whole cluster",
        "  deletecollection pods in the whole cluster",
        "  create pods/eviction in the whole cluster",
    ]
    assert "nothing was changed" in refused.value.fix


def test_whoami_is_empty_where_the_api_server_does_not_say(tmp_path: Path) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    for answer, name in (((201, {"status": {"userInfo": {"username": "jane"}}}), "jane"), ((404, {}), "")):
        api = TinyApi()
        api.paths[path] = lambda answer=answer: answer  # type: ignore[misc]
        with api.client(tmp_path) as kube:
            assert whoami(kube) == name


# --- the cluster itself ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body", "why"),
    [
        (401, {}, "does not know who you are"),
        (200, {"gitVersion": "v1.29.9-eks-1"}, "has Kubernetes v1.29.9-eks-1"),
        (200, {"gitVersion": "v0.9"}, "has Kubernetes v0.9"),
    ],
)
def test_a_cluster_that_cannot_do_is_refused(tmp_path: Path, code: int, body: Any, why: str) -> None:
    api = TinyApi()
    api.paths["/version"] = lambda: (code, body)
    with api.client(tmp_path) as kube, pytest.raises(UsageError, match=why):
        preflight.check_version(kube, "theirs")


def test_a_new_enough_cluster_tells_its_version(tmp_path: Path) -> None:
    api = TinyApi()
    api.paths["/version"] = lambda: (200, {"gitVersion": "v1.37.2-gke.100"})
    with api.client(tmp_path) as kube:
        assert preflight.check_version(kube, "theirs") == "v1.37.2-gke.100"


@pytest.mark.parametrize(
    ("served", "version"),
    [
        ({"v1": ["mutatingadmissionpolicies"]}, "v1"),
        ({"v1": ["validatingadmissionpolicies"], "v1beta1": ["mutatingadmissionpolicies"]}, "v1beta1"),
        ({"v1": ["validatingadmissionpolicies"]}, ""),
    ],
)
def test_mutating_policies_are_looked_for_in_each_version(
    tmp_path: Path, served: dict[str, list[str]], version: str
) -> None:
    api = TinyApi()
    for each in ("v1", "v1beta1"):
        names = [{"name": name} for name in served.get(each, [])]
        answer = (200, {"resources": names}) if names else (404, {})
        api.paths[f"/apis/admissionregistration.k8s.io/{each}"] = lambda answer=answer: answer  # type: ignore[misc]
    with api.client(tmp_path) as kube:
        assert served_version(kube) == version


def _serving(*there: tuple[str, dict[str, Any]]) -> TinyApi:
    api = TinyApi()
    kinds = {
        "/api/v1": [("Namespace", "namespaces", False), ("ConfigMap", "configmaps", True)],
        f"/apis/{RBAC}/v1": [("ClusterRole", "clusterroles", False)],
        "/apis/example.org/v1": [],
    }
    for path, listed in kinds.items():
        resources = [{"kind": kind, "name": name, "namespaced": inside} for kind, name, inside in listed]
        api.paths[path] = lambda resources=resources: (200, {"resources": resources})  # type: ignore[misc]
    for name in ("operator", "other"):
        api.paths[f"/apis/{RBAC}/v1/clusterroles/{name}"] = lambda: (404, {})
    for name in ("default", "mltj-system"):
        api.paths[f"/api/v1/namespaces/{name}"] = lambda: (404, {})
    for path, metadata in there:
        api.paths[path] = lambda metadata=metadata: (200, {"metadata": metadata})  # type: ignore[misc]
    return api


CLAIMED = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mltj-system"}},
    {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "operator"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "mltj-system"}},
    {"apiVersion": "example.org/v1", "kind": "Comes", "metadata": {"name": "with-the-submission"}},
]


def _check(kube: Kube, objects: list[Any]) -> None:
    preflight.check_free(
        kube, ClusterSpec(name="lab1", requirements=ClusterRequirements((), objects)), "theirs"
    )


def test_a_cluster_without_what_would_be_installed_is_free(tmp_path: Path) -> None:
    with _serving().client(tmp_path) as kube:
        _check(kube, CLAIMED)


def test_all_that_would_be_overwritten_is_named_at_once(tmp_path: Path) -> None:
    api = _serving(
        ("/api/v1/namespaces/mltj-system", {"name": "mltj-system", "labels": {RUN: "abc"}}),
        (f"/apis/{RBAC}/v1/clusterroles/operator", {"name": "operator"}),
    )
    with api.client(tmp_path) as kube, pytest.raises(UsageError) as refused:
        _check(kube, CLAIMED)
    assert refused.value.problem.splitlines() == [
        "in context 'theirs' there is already what grading lab1 would install:",
        "  namespaces mltj-system, of kubeproof's run abc",
        f"  clusterroles.{RBAC} operator",
    ]
    assert "kubeproof cluster sweep" in refused.value.fix


def test_an_object_without_a_namespace_would_land_among_theirs(tmp_path: Path) -> None:
    api = _serving(("/api/v1/namespaces/default", {"name": "default"}))
    lost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    with api.client(tmp_path) as kube, pytest.raises(UsageError, match="namespaces default"):
        _check(kube, [lost])


# --- what the lab claims -----------------------------------------------------------------------------


def test_lab1_claims_what_its_reference_installs_and_the_course_s_policies(tmp_path: Path) -> None:
    root = REPOSITORY / "solutions" / "lab1" / "reference"
    submission = load_submission(root, lab="lab1", block=Lab1Block, scratch=tmp_path)
    manifests = load_manifests(submission.root, submission.manifest.manifests)
    found = requirements(manifests, submission.manifest)
    named = {(each["kind"], each["metadata"]["name"]) for each in found.objects}
    assert {(m.kind, m.name) for m in manifests} <= named
    assert ("Namespace", "mltj-system") in named
    assert {("ValidatingAdmissionPolicy", name) for name in policy_names()} <= named
    told = {str(each) for each in found.permissions}
    assert f"create clusterroles.{RBAC} in the whole cluster" in told
    assert "create mltrainingjobs.training.mod201.dev in the whole cluster" in told
    assert not any("secrets" in each for each in told)


def test_every_kind_that_may_be_installed_is_asked_for() -> None:
    from graders.lab1.requirements import _KINDS

    asked_anyway = {"CustomResourceDefinition", "Namespace", "ServiceAccount"}
    assert set(_KINDS) | asked_anyway | DRY_RUN == set(ALLOWED)


# --- needs and options -------------------------------------------------------------------------------


def test_a_cluster_that_cannot_show_what_a_lab_needs_is_refused_with_the_reason() -> None:
    needs = {Capability.API, Capability.SIMULATED_NODES, Capability.ETCD_ACCESS}
    reasons = {Capability.SIMULATED_NODES: "it serves no MutatingAdmissionPolicy"}
    with pytest.raises(UsageError) as refused:
        check_needs(needs, {Capability.API}, "existing", reasons)
    assert refused.value.problem.splitlines() == [
        "this cluster (provider existing) cannot show what the lab needs:",
        "  etcd-access: this provider has none",
        "  simulated-nodes: it serves no MutatingAdmissionPolicy",
    ]
    check_needs(needs, needs, "existing")


@pytest.mark.parametrize(
    ("provider", "options", "why"),
    [
        ("embedded", ProviderOptions(context="prod"), "--context is for provider existing"),
        ("embedded", ProviderOptions(kubeconfig=Path("a")), "--kubeconfig is for provider existing"),
        ("existing", ProviderOptions(node_image="a"), "--node-image is for provider kind"),
    ],
)
def test_an_option_of_another_provider_is_not_passed_over_in_silence(
    provider: str, options: ProviderOptions, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        provider_named(provider, options)
