"""The guards on clusters with real nodes, as a real API server acts on them; the learner is cluster-admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graders.clusters.confinement import REAL, NamespaceBounds, confine
from graders.clusters.containment import NAME, forbid_escapes, guard_manifests
from graders.clusters.kubeconfigs import token_kubeconfig
from graders.clusters.provider import ClusterSpec
from graders.clusters.registry import provider_named
from graders.kube.client import Answer, Kube
from graders.progress import Silent

pytestmark = pytest.mark.cluster

SPACE = "learner"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    spec = ClusterSpec(name="containment")
    with provider_named("embedded").provision(spec, Silent()) as cluster:
        owner = Kube(cluster.kubeconfig)
        owner.create("/api/v1/namespaces", {"metadata": {"name": SPACE}})
        forbid_escapes(owner, simulated=True)
        yield owner


@pytest.fixture(scope="module")
def learner(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Kube:
    """Somebody with every right there is in RBAC."""
    accounts = f"/api/v1/namespaces/{SPACE}/serviceaccounts"
    kube.create(accounts, {"metadata": {"name": "op"}})
    binding = {
        "metadata": {"name": "everything"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "op", "namespace": SPACE}],
    }
    kube.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = kube.create(f"{accounts}/op/token", request)["status"]["token"]
    config = tmp_path_factory.mktemp("learner") / "kubeconfig"
    config.write_text(token_kubeconfig(kube.server, kube.ca_certificate(), token, SPACE))
    return Kube(config)


def pod(change: Callable[[Spec], object] = lambda spec: None) -> dict[str, Any]:
    spec: Spec = {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i"}]}
    change(spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec}


def deployment(change: Callable[[Spec], object] = lambda spec: None) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod(change)["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generateName": "d-"}, "spec": spec,
    }  # fmt: skip


def cron_job(change: Callable[[Spec], object] = lambda spec: None) -> dict[str, Any]:
    template = {"spec": {**pod(change)["spec"], "restartPolicy": "Never"}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"generateName": "c-"}, "spec": spec}


def put(kube: Kube, item: dict[str, Any], space: str = SPACE, **query: object) -> Answer:
    group = {"Pod": "api/v1", "Deployment": "apis/apps/v1", "CronJob": "apis/batch/v1"}[item["kind"]]
    path = f"/{group}/namespaces/{space}/{item['kind'].lower()}s"
    return kube.request("POST", path, body=item, query=query)


def container(**fields: Any) -> Callable[[Spec], object]:
    return lambda spec: spec["containers"][0].update(fields)


def volume(spec: Spec) -> None:
    spec["volumes"] = [{"name": "v", "hostPath": {"path": "/"}}]


def in_init(spec: Spec) -> None:
    spec["initContainers"] = [{"name": "i", "image": "i", "securityContext": {"privileged": True}}]


ESCAPES: dict[str, tuple[Callable[[Spec], object], str]] = {
    "host network": (lambda spec: spec.update(hostNetwork=True), "hostNetwork is not allowed"),
    "host processes": (lambda spec: spec.update(hostPID=True), "hostPID and hostIPC are not allowed"),
    "host memory": (lambda spec: spec.update(hostIPC=True), "hostPID and hostIPC are not allowed"),
    "host files": (volume, "hostPath volumes are not allowed"),
    "privileged": (container(securityContext={"privileged": True}), "privileged containers"),
    "privileged at first": (in_init, "privileged containers"),
    "capabilities": (container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), "capabilities"),
    "host port": (container(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort is not allowed"),
}


@pytest.mark.parametrize("make", [pod, deployment, cron_job])
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_pod_and_nothing_that_pods_are_made_from_reaches_for_the_machine(
    learner: Kube, kube: Kube, escape: str, make: Callable[..., dict[str, Any]]
) -> None:
    change, words = ESCAPES[escape]
    for who in (learner, kube):
        answer = put(who, make(change))
        assert answer.code == 422, answer.message
        assert NAME in answer.message
        assert words in answer.message


@pytest.mark.parametrize("make", [pod, deployment, cron_job])
def test_what_does_not_is_taken(learner: Kube, make: Callable[..., dict[str, Any]]) -> None:
    def bind(spec: Spec) -> None:
        spec["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_BIND_SERVICE"]}}

    for change in (lambda spec: None, bind):
        answer = put(learner, make(change))
        assert answer.code == 201, answer.message


def test_a_dry_run_stores_nothing_and_may_say_anything(learner: Kube) -> None:
    change, _ = ESCAPES["privileged"]
    assert put(learner, deployment(change), dryRun="All").code == 201


def test_a_change_is_judged_as_well(learner: Kube) -> None:
    made = put(learner, deployment()).body
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{made['metadata']['name']}"
    patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    answer = learner.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
    assert "hostNetwork is not allowed" in answer.message


def test_the_clusters_own_namespace_is_open_to_its_owner_and_not_to_a_learner(
    kube: Kube, learner: Kube
) -> None:
    change, words = ESCAPES["host files"]
    assert put(kube, pod(change), "kube-system").code == 201
    answer = put(learner, pod(change), "kube-system")
    assert words in answer.message


def test_a_volume_on_a_nodes_disk_is_no_way_around(learner: Kube) -> None:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}
    body = {"metadata": {"name": "way-around"}, "spec": spec}
    answer = learner.request("POST", "/api/v1/persistentvolumes", body=body)
    assert "volumes on a node's own disk are not allowed" in answer.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec: spec.update(nodeName="real"), "naming a node is not allowed"),
        (lambda spec: spec.update(tolerations=[{"operator": "Exists"}]), "tolerating every taint"),
        (
            lambda spec: spec.update(tolerations=[{"key": "kubeproof.dev/real", "operator": "Exists"}]),
            "tolerating every taint",
        ),
    ],
)
@pytest.mark.parametrize("make", [pod, deployment])
def test_beside_simulated_nodes_a_learners_pods_stay_off_the_real_ones(
    kube: Kube,
    learner: Kube,
    make: Callable[..., dict[str, Any]],
    change: Callable[[Spec], object],
    words: str,
) -> None:
    assert words in put(learner, make(change)).message
    assert put(kube, make(change)).code == 201


def test_nor_is_one_put_there_by_hand(learner: Kube) -> None:
    made = put(learner, pod()).body["metadata"]["name"]
    target = {"apiVersion": "v1", "kind": "Node", "name": "real"}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": made}, "target": target}
    answer = learner.request("POST", f"{PODS}/{made}/binding", body=body)
    assert "placing pods is the scheduler's alone" in answer.message


def test_other_tolerations_are_nobodys_business(learner: Kube) -> None:
    change = lambda spec: spec.update(tolerations=[{"key": "team", "operator": "Exists"}])  # noqa: E731
    assert put(learner, pod(change)).code == 201


def test_a_confined_namespace_bounds_what_is_in_it_and_whom_it_speaks_to(kube: Kube) -> None:
    kube.create("/api/v1/namespaces", {"metadata": {"name": "confined"}})
    bounds = NamespaceBounds({**REAL.hard, "pods": "1"}, REAL.defaults, peers=[{"job": "a"}], api=True)
    confine(kube, "confined", bounds)
    made = put(kube, pod(), "confined")
    assert made.code == 201, made.message
    assert made.body["spec"]["containers"][0]["resources"]["limits"]["memory"] == "256Mi"
    refused = put(kube, pod(), "confined")
    assert (refused.code, "exceeded quota" in refused.message) == (403, True)
    policies = kube.get("/apis/networking.k8s.io/v1/namespaces/confined/networkpolicies")["items"]
    assert {each["metadata"]["name"] for each in policies} == {
        f"{NAME}-{name}" for name in ("deny", "dns", "peers-0", "api")
    }


def test_every_guard_is_in_force(kube: Kube) -> None:
    root = "/apis/admissionregistration.k8s.io/v1"
    for manifest in guard_manifests(simulated=True):
        plural = "validatingadmissionpolicies" if "Binding" not in manifest["kind"] else None
        if plural is not None:
            status = kube.get(f"{root}/{plural}/{manifest['metadata']['name']}").get("status") or {}
            assert not [c for c in status.get("conditions") or () if c.get("status") == "False"]
