"""Lab 1 in a cluster of somebody's: its jobs, its record of rights, and whose fault a refusal is."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.kube.client import Kube
from graders.lab1 import install
from graders.lab1.api import container, job_manifest, placed
from graders.lab1.manifest import Lab1Block, Lab1Manifest
from graders.model import Status
from graders.paths import REPOSITORY
from graders.submissions import load_submission
from graders.submissions.manifests import Manifest
from tests.unit.lab1_flaws import outcomes_of
from tests.unit.lab1_recording import Recording as Record
from tests.unit.synthetic_bundle import make_manifest
from tests.unit.tiny_api import TinyApi

PLACE = {
    "nodeSelector": {"kubeproof.dev/run": "abc"},
    "tolerations": [{"key": "kubeproof.dev/simulated", "operator": "Exists"}],
}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE = "clusterroles/operator"


class Visitor:
    """A guest that owns the namespace `ours` and what is labelled so."""

    pod: Mapping[str, Any] = PLACE

    def owns(self, namespace: str) -> bool:
        return namespace == "ours"

    def made(self, item: Mapping[str, Any]) -> bool:
        return "ours" in (item["metadata"].get("labels") or {})

    def admit(self, method: str, path: str, query: Mapping[str, object], body: Any) -> Any:
        return body


def test_a_job_brings_its_pods_to_the_grader_s_nodes_over_what_its_template_says() -> None:
    job = job_manifest("a", "b")
    spec = job["spec"]["trainer"]["template"]["spec"]
    spec |= {"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "own"}]}
    before = copy.deepcopy(job)
    made = placed(job, PLACE)["spec"]["trainer"]["template"]["spec"]
    assert made["nodeSelector"] == {"zone": "a", "kubeproof.dev/run": "abc"}
    assert made["tolerations"] == [{"key": "own"}, *PLACE["tolerations"]]
    assert made["containers"] == [container()]
    assert job == before


@pytest.fixture
def wanted(tmp_path: Path) -> Lab1Manifest:
    root = REPOSITORY / "solutions" / "lab1" / "reference"
    found: Lab1Manifest = load_submission(root, lab="lab1", block=Lab1Block, scratch=tmp_path).manifest
    return found


@pytest.fixture
def api() -> TinyApi:
    api = TinyApi()
    resources = [
        {"kind": "ClusterRole", "name": "clusterroles", "namespaced": False},
        {"kind": "Namespace", "name": "namespaces", "namespaced": False},
    ]
    for root in ("/api/v1", RBAC):
        api.paths[root] = lambda: (200, {"resources": resources})
    return api


@pytest.fixture
def kube(api: TinyApi, tmp_path: Path) -> Iterator[Kube]:
    with api.client(tmp_path) as kube:
        yield kube


@pytest.mark.parametrize(
    ("guest", "fault"),
    [(None, BadSubmission), (Visitor(), InfraFault)],
    ids=["its own cluster", "somebody's"],
)
def test_what_somebody_s_cluster_forbids_is_not_the_learner_s_fault(
    api: TinyApi, kube: Kube, wanted: Lab1Manifest, guest: Visitor | None, fault: type[Exception]
) -> None:
    kube.guest = guest
    api.paths[f"{RBAC}/{ROLE}"] = lambda: (403, {"message": "denied by their policy"})
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "operator"},
    }
    with pytest.raises(fault, match="denied by their policy"):
        install.install(kube, [Manifest(role, "deploy/rbac.yaml", 1)], wanted, None, 1.0)


def test_of_the_rights_in_somebody_s_cluster_only_the_submission_s_are_told(
    api: TinyApi, kube: Kube, tmp_path: Path
) -> None:
    def item(name: str, **metadata: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, **metadata}}

    there = {
        "roles": [item("theirs", namespace="shop"), item("own", namespace="ours")],
        "clusterroles": [item("theirs"), item("own", labels={"ours": "1"})],
        "rolebindings": [],
        "clusterrolebindings": [item("cluster-admin", labels={"kubernetes.io/bootstrapping": "x"})],
    }
    for plural, items in there.items():
        api.paths[f"{RBAC}/{plural}"] = lambda items=items: (200, {"items": items})  # type: ignore[misc]
    with BundleWriter(tmp_path / "bundle") as writer:
        install.record_rights(kube, Recording(writer), Visitor())
        writer.close(make_manifest())
    told = {
        request.name: [item["metadata"]["name"] for item in request.response]
        for request in Bundle(tmp_path / "bundle").requests
    }
    assert told == {"roles": ["own"], "clusterroles": ["own"], "rolebindings": [], "clusterrolebindings": []}


# --- a record without the audit log ------------------------------------------------------------------


def without_log(record: Record) -> None:
    """As the proxy's notary records it: what the operator did, and nobody else."""
    operator = record.operator
    record.manifest["capabilities"] = [c for c in record.manifest["capabilities"] if c != "audit-log"]
    record.manifest["provider"] = "existing"
    record.parts["audit"] = [event for event in record.audit if event["user"] == operator]


def test_the_reference_earns_as_much_without_an_audit_log(tmp_path: Path) -> None:
    outcomes = outcomes_of(without_log, tmp_path)
    lost = {name: each.status for name, each in outcomes.items() if each.status is not Status.PASSED}
    assert {name: status for name, status in lost.items() if status is not Status.UNSUPPORTED} == {}


@pytest.mark.parametrize(("stirred", "status"), [(False, Status.FAILED), (True, Status.ERROR)])
def test_without_an_audit_log_watches_tell_whether_settled_jobs_were_left_alone(
    stirred: bool, status: Status, tmp_path: Path
) -> None:
    def restless(record: Record) -> None:
        without_log(record)
        start = record.mark("quiet", "watching")["t"]
        for number in range(3):
            record.send(
                "patch", "mltrainingjobs", "runs", t=start + 2 + number, namespace=record.namespace("quiet")
            )
        if stirred:
            sighting = copy.deepcopy(record.seen("quiet", "pods", "runs-0")[-1])
            record.objects.append({**sighting, "t": start + 1})

    assert outcomes_of(restless, tmp_path)["quiet"].status is status
