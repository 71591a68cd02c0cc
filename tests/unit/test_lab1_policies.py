"""policy-gates: what a refusal costs, whoever says it, and what a pod may not lose of its template."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from graders.documents import load_documents
from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import AuditEvent, Mark, Request, Sighting, ToolRun
from graders.faults import InfraFault, Unmet
from graders.judging import Facts
from graders.lab1.checks.policies import VIOLATIONS, check_policy_gates
from graders.lab1.policies import (
    ENFORCED,
    POLICIES,
    admission_manifests,
    compliant_template,
    counter_examples,
    policy_names,
)
from tests.unit.synthetic_bundle import OPERATOR, make_manifest

Object = dict[str, Any]

DENIAL = (
    "deployments.apps \"deployment-0\" is forbidden: ValidatingAdmissionPolicy 'deployments-have-probes' "
    "with binding 'deployments-have-probes' denied request: every container of a Deployment needs probes"
)
SUBJECTS = {
    "deployment-0": "Deployment mltj-operator",
    "deployment-0-pod": "a pod of Deployment mltj-operator",
    "pod-0": "the operator's pod gated-0",
}


def _deployment() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mltj-operator", "namespace": "mltj-system"},
        "spec": {"template": {"spec": {"serviceAccountName": "mltj-operator"}}},
    }


def _made() -> Object:
    spec = compliant_template()["spec"]
    spec |= {"restartPolicy": "Never", "hostname": "gated-0", "nodeName": "node-a1", "tolerations": [{}]}
    spec["containers"][0]["env"] = [{"name": "PET_NNODES", "value": "2"}]
    return {
        "metadata": {"name": "gated-0", "namespace": "here", "uid": "uid-0", "ownerReferences": []},
        "spec": spec,
        "status": {"phase": "Running"},
    }


def _verdict(subject: str, policy: str, result: str = "pass", message: str = "success") -> Object:
    return {"policy": policy, "result": result, "message": message, "resources": [{"name": subject}]}


@dataclass
class Record:
    """A run in which all was well; tests change it before it is judged."""

    deployments: list[Object] = field(default_factory=lambda: [_deployment()])
    stored: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(SUBJECTS, True))
    answers: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {f"admit/{name}": (201, "") for name in SUBJECTS}
    )
    verdicts: list[Object] = field(
        default_factory=lambda: [_verdict(name, policy) for name in SUBJECTS for policy in policy_names()]
    )
    kyverno: str | None = ""
    """What Kyverno printed before its report; None when it was never run."""
    pods: list[Object] = field(default_factory=lambda: [_made()])
    creates: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(201, {})])

    def judge(self, folder: Path) -> Facts:
        """What the check says of it."""
        writer = BundleWriter(folder / "bundle")
        writer.add(Mark(1.0, "policies", "namespace", {"namespace": "here", "part": ""}))
        for each in self.deployments:
            path = f"Deployment/{each['metadata']['name']}"
            writer.add(Request(0.5, "install", "apply", "PATCH", path, 200, each))
        for name, stored in self.stored.items():
            data = {"subject": name, "title": SUBJECTS[name], "stored": stored}
            writer.add(Mark(2.0, "policies", "subject", data | ({"uid": "uid-0"} if "pod-0" in name else {})))
        for name, (code, message) in self.answers.items():
            writer.add(Request(3.0, "policies", name, "POST", "/api", code, {}, {"message": message}))
        for code, noted in self.creates:
            writer.add(
                AuditEvent(
                    2.5, 2.6, "audit-1", OPERATOR, "create", "", "pods", "", "here", "gated-0", code,
                    response={"message": "no such ServiceAccount"}, annotations=noted,
                )
            )  # fmt: skip
        for each in self.pods:
            writer.add(Sighting(2.6, "ADDED", "pods", "here", each["metadata"]["name"], each))
        if self.kyverno is not None:
            output = self.kyverno + json.dumps({"kind": "ClusterReport", "results": self.verdicts})
            writer.add(ToolRun(4.0, "kyverno", ("apply",), 0, 0.6, output, "exited with code 0"))
        writer.close(make_manifest())
        facts = Facts()
        check_policy_gates(Bundle(folder / "bundle"), facts)
        return facts


Change = Callable[[Record], object]


def _container(change: Callable[[Object], object]) -> Change:
    return lambda record: change(record.pods[0]["spec"]["containers"][0])


def _spec(change: Callable[[Object], object]) -> Change:
    return lambda record: change(record.pods[0]["spec"])


def _fails(record: Record) -> None:
    record.verdicts[0] = _verdict("deployment-0", "images-are-pinned", "fail", "every image needs a tag")


def _no_pods(record: Record) -> None:
    record.pods.clear()
    record.creates = [(403, {})]


def _unstorable(record: Record) -> None:
    record.stored["deployment-0-pod"] = False
    record.answers["store/deployment-0-pod"] = (403, "no PriorityClass urgent")


def _both(record: Record) -> None:
    record.answers["admit/deployment-0"] = (403, DENIAL)
    said = "every container of a Deployment needs probes"
    record.verdicts[0] = _verdict("deployment-0", "deployments-have-probes", "fail", said)


LOSSES: dict[str, tuple[Change, str]] = {
    "the API server denies": (
        lambda r: r.answers.update({"admit/pod-0": (403, 'pods "pod-0" is forbidden: violates PodSecurity')}),
        "the operator's pod gated-0: violates PodSecurity (API server)",
    ),
    "a policy denies": (
        lambda r: r.answers.update({"admit/deployment-0": (422, DENIAL)}),
        "Deployment mltj-operator: deployments-have-probes: every container of a Deployment needs probes",
    ),
    "Kyverno alone says no": (
        _fails,
        "Deployment mltj-operator: images-are-pinned: every image needs a tag (Kyverno)",
    ),
    "both say the same": (_both, "needs probes (API server and Kyverno)"),
    "a Deployment's pod cannot be at all": (
        _unstorable,
        "a pod of Deployment mltj-operator: no PriorityClass urgent",
    ),
    "admission's own audit": (
        lambda r: r.creates.append((201, {VIOLATIONS: "would violate PodSecurity restricted"})),
        "the operator's pod gated-0: violates PodSecurity restricted",
    ),
    "no Deployment": (lambda r: r.deployments.clear(), "no Deployment there"),
    "a Deployment of somebody else's": (
        lambda r: r.deployments[0]["spec"]["template"]["spec"].update(serviceAccountName="other"),
        "its Deployments run as other",
    ),
    "a Deployment without a pod spec": (
        lambda r: r.deployments[0].update(spec={"template": [1]}),
        "its Deployments run as default",
    ),
    "no pods": (_no_pods, "none; the API server refused: no such ServiceAccount"),
    "security context dropped": (
        _spec(lambda spec: spec.pop("securityContext")),
        'securityContext is null and not {"runAsNonRoot": true',
    ),
    "token mounted": (
        _spec(lambda spec: spec.update(automountServiceAccountToken=True)),
        "automountServiceAccountToken is true and not false",
    ),
    "limits raised": (
        _container(lambda c: c["resources"]["limits"].update(memory="8Gi")),
        'containers[trainer].resources.limits.memory is "8Gi" and not "128Mi"',
    ),
    "capabilities kept": (
        _container(lambda c: c["securityContext"].update(capabilities=7)),
        "containers[trainer].securityContext.capabilities is 7",
    ),
    "init containers dropped": (
        _spec(lambda spec: spec.update(initContainers=None)),
        "initContainers is null",
    ),
    "containers of no shape": (
        _spec(lambda spec: spec.update(containers=["trainer", None])),
        "containers[trainer] is null",
    ),
}


def test_a_run_without_a_refusal_costs_nothing(tmp_path: Path) -> None:
    assert Record().judge(tmp_path)["kyverno_verdicts"] == len(SUBJECTS) * len(policy_names())


@pytest.mark.parametrize(("change", "says"), LOSSES.values(), ids=list(LOSSES))
def test_a_refusal_costs_the_criterion(change: Change, says: str, tmp_path: Path) -> None:
    record = Record()
    change(record)
    with pytest.raises(Unmet) as lost:
        record.judge(tmp_path)
    assert says in lost.value.observed, lost.value.observed
    assert lost.value.expected


@pytest.mark.parametrize(
    "change",
    [
        _spec(lambda spec: spec["containers"].append({"name": "sidecar", "image": "s:1"})),
        _spec(lambda spec: spec["volumes"].insert(0, {"name": "more", "emptyDir": {}})),
        _spec(lambda spec: spec.update(schedulingGates=[{"name": "gang"}], activeDeadlineSeconds=9)),
        _container(lambda c: c.update(terminationMessagePath="/dev/termination-log")),
    ],
)
def test_a_pod_may_have_more_than_its_template(change: Change, tmp_path: Path) -> None:
    record = Record()
    change(record)
    record.judge(tmp_path)


def test_what_is_printed_before_a_report_does_not_hide_it(tmp_path: Path) -> None:
    record = Record(kyverno="warning: {a policy} is old\n")
    _fails(record)
    with pytest.raises(Unmet, match="every image needs a tag"):
        record.judge(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: setattr(r, "kyverno", None), "Kyverno was not run"),
        (lambda r: r.verdicts.clear(), "said nothing of Deployment mltj-operator"),
        (lambda r: setattr(r, "verdicts", [1]), "said nothing of"),
        (lambda r: setattr(r, "verdicts", r.verdicts[:-5]), "said nothing of the operator's pod"),
        (lambda r: r.answers.update({"admit/pod-0": (500, "")}), "the API server said 500"),
        (lambda r: r.answers.pop("admit/pod-0"), "no request 'admit/pod-0'"),
    ],
)
def test_an_engine_that_did_not_answer_is_our_fault(change: Change, says: str, tmp_path: Path) -> None:
    record = Record()
    change(record)
    with pytest.raises(InfraFault, match=says):
        record.judge(tmp_path)


def test_a_refusal_stands_even_if_kyverno_said_nothing(tmp_path: Path) -> None:
    record = Record(verdicts=[])
    record.answers["admit/deployment-0"] = (403, DENIAL)
    with pytest.raises(Unmet, match="deployments-have-probes"):
        record.judge(tmp_path)


def test_each_policy_is_there_in_both_forms_and_has_a_counter_example() -> None:
    kyverno = {load_documents(file)[0].data["metadata"]["name"] for file in POLICIES.glob("kyverno/*.yaml")}
    admission = {m["metadata"]["name"] for m in admission_manifests() if not m["kind"].endswith("Binding")}
    assert kyverno == admission == set(policy_names())
    assert set(counter_examples()) == {"PodSecurity", *policy_names()}


def test_policies_bind_only_where_they_are_asked_for() -> None:
    label = "policies.kubeproof.dev/enforced"
    for manifest in admission_manifests():
        if manifest["kind"].endswith("Binding"):
            where = manifest["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
            assert where == {label: ENFORCED[label]}
            assert manifest["spec"]["policyName"] == manifest["metadata"]["name"]
