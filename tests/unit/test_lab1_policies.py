"""policy-gates: what a refusal costs, whoever says it, and what a pod may not lose of its template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import AuditEvent, Mark, Request, WatchEvent
from graders.faults import InfraFault, Unmet
from graders.judging import Facts
from graders.kube.client import Answer
from graders.lab1.checks.policies import VIOLATIONS, check_policy_gates
from graders.lab1.jobscontext import JobsContext
from graders.lab1.policies import (
    ENFORCED,
    POD_SECURITY,
    WARNED,
    admission_manifests,
    compliant_template,
    counter_examples,
    policy_names,
)
from graders.lab1.tracks.policies import is_in_force
from tests.unit.synthetic_bundle import OPERATOR, make_manifest

Object = dict[str, Any]

DENIAL = (
    "deployments.apps \"deployment-0\" is forbidden: ValidatingAdmissionPolicy 'deployments-have-probes' "
    "with binding 'deployments-have-probes' denied request: every container of a Deployment needs probes"
)
PROBES = "every container of a Deployment needs probes"
ASKED = ("store", "admit")
"""Where policies warn, and where they refuse."""

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


@dataclass
class Record:
    """A run in which all was well; tests change it before it is judged."""

    deployments: list[Object] = field(default_factory=lambda: [_deployment()])
    stored: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(SUBJECTS, True))
    answers: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {f"{asked}/{name}": (201, "") for name in SUBJECTS for asked in ASKED}
    )
    warnings: dict[str, list[str]] = field(default_factory=dict)
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
            said = tuple(self.warnings.get(name, ()))
            writer.add(Request(3.0, "policies", name, "POST", "/api", code, {}, {"message": message}, said))
        for code, noted in self.creates:
            writer.add(
                AuditEvent(
                    2.5, 2.6, "audit-1", OPERATOR, "create", "", "pods", "", "here", "gated-0", code,
                    response={"message": "no such ServiceAccount"}, annotations=noted,
                )
            )  # fmt: skip
        for each in self.pods:
            writer.add(WatchEvent(2.6, "ADDED", "pods", "here", each["metadata"]["name"], each))
        writer.close(make_manifest())
        facts = Facts()
        check_policy_gates(Bundle(folder / "bundle"), facts)
        return facts


Change = Callable[[Record], object]


def _container(change: Callable[[Object], object]) -> Change:
    return lambda record: change(record.pods[0]["spec"]["containers"][0])


def _spec(change: Callable[[Object], object]) -> Change:
    return lambda record: change(record.pods[0]["spec"])


def _no_pods(record: Record) -> None:
    record.pods.clear()
    record.creates = [(403, {})]


def _unstorable(record: Record) -> None:
    record.stored["deployment-0-pod"] = False
    record.answers["store/deployment-0-pod"] = (403, "no PriorityClass urgent")


def _warning(policy: str, message: str) -> str:
    return (
        f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{policy}-warn': {message}"
    )


def _refused_and_warned(record: Record) -> None:
    record.answers["admit/deployment-0"] = (422, DENIAL)
    record.warnings["store/deployment-0"] = [
        _warning("deployments-have-probes", PROBES),
        _warning("images-are-pinned", "every image needs a tag"),
    ]


LOSSES: dict[str, tuple[Change, str]] = {
    "the API server denies": (
        lambda r: r.answers.update({"admit/pod-0": (403, 'pods "pod-0" is forbidden: violates PodSecurity')}),
        "the operator's pod gated-0: violates PodSecurity",
    ),
    "a policy denies": (
        lambda r: r.answers.update({"admit/deployment-0": (422, DENIAL)}),
        "Deployment mltj-operator: deployments-have-probes: every container of a Deployment needs probes",
    ),
    "what the first refusal hides": (
        _refused_and_warned,
        "Deployment mltj-operator: images-are-pinned: every image needs a tag",
    ),
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
    assert Record().judge(tmp_path)["subjects"] == len(SUBJECTS)


def test_what_is_refused_and_warned_of_is_told_once(tmp_path: Path) -> None:
    record = Record()
    _refused_and_warned(record)
    with pytest.raises(Unmet) as lost:
        record.judge(tmp_path)
    assert lost.value.observed.count(PROBES) == 1


def test_warnings_of_others_cost_nothing(tmp_path: Path) -> None:
    record = Record(warnings={"store/pod-0": ["spec.containers[0].env[1]: hides previous definition of A"]})
    assert record.judge(tmp_path)["subjects"] == len(SUBJECTS)


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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.answers.update({"admit/pod-0": (500, "")}), "the API server said 500"),
        (lambda r: r.answers.pop("admit/pod-0"), "no request 'admit/pod-0'"),
    ],
)
def test_a_server_that_did_not_answer_is_our_fault(change: Change, says: str, tmp_path: Path) -> None:
    record = Record()
    change(record)
    with pytest.raises(InfraFault, match=says):
        record.judge(tmp_path)


def test_each_policy_has_a_counter_example_and_a_file_of_its_name() -> None:
    admission = {
        m["metadata"]["name"] for m in admission_manifests() if m["kind"] == "ValidatingAdmissionPolicy"
    }
    assert admission == set(policy_names()) == set(counter_examples()) - {POD_SECURITY}


def test_policies_refuse_or_warn_only_where_they_are_asked_to() -> None:
    bound = [
        (m["spec"]["policyName"], m["spec"]["validationActions"], m["spec"]["matchResources"])
        for m in admission_manifests()
        if m["kind"] == "ValidatingAdmissionPolicyBinding"
    ]
    enforced = {key: value for key, value in ENFORCED.items() if "pod-security" not in key}
    assert bound == [
        (name, [action], {"namespaceSelector": {"matchLabels": labels}})
        for name in policy_names()
        for action, labels in (("Deny", enforced), ("Warn", WARNED))
    ]


@dataclass
class Server:
    """Plays the stage and the API server of a track; `answers` says what comes of a dry run where."""

    answers: dict[str, Answer]
    track: str = "policies"

    @property
    def kube(self) -> Server:
        return self

    def namespace(self, part: str) -> str:
        return part

    def now(self) -> float:
        return 0.0

    def request(self, method: str, path: str, *, body: Object, query: Object) -> Answer:
        answer = self.answers[path.split("/namespaces/")[1].split("/", maxsplit=1)[0]]
        return Answer(answer.code, body, answer.warnings) if answer.ok else answer


@pytest.mark.parametrize("name", list(counter_examples()))
def test_a_policy_is_in_force_once_its_counter_example_is_refused_and_warned_of(name: str) -> None:
    admits = Answer(201, None)
    warns = Answer(201, None, () if name == POD_SECURITY else (_warning(name, "no"),))
    refuses = Answer(403, {"message": f"'{name}' denied request"})
    another = Answer(403, {"message": "no such ServiceAccount"})

    def in_force(**answers: Answer) -> bool:
        return is_in_force(cast(JobsContext, Server(answers)), name, counter_examples()[name])

    assert in_force(gated=refuses, plain=warns)
    assert not in_force(gated=admits, plain=warns)
    assert not in_force(gated=another, plain=warns)
    assert in_force(gated=refuses, plain=admits) is (name == POD_SECURITY)
