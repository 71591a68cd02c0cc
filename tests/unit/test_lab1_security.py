"""least-privilege: each flaw in the record costs exactly that check."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.model import Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Recording

CHECK = "least-privilege"


def _denied(r: Recording) -> None:
    decision = {"authorization.k8s.io/decision": "forbid"}
    r.send("list", "nodes", "", code=403, annotations=decision)


def _granted(*, cluster: bool = True, **rule: list[str]) -> Mutation:
    plural = "clusterroles" if cluster else "roles"
    return lambda r: r.request("install", plural)["response"][0]["rules"].append({"apiGroups": [""], **rule})


def _bound(role: str, subject: dict[str, str]) -> Mutation:
    """Bind a role that came with the cluster."""

    def mutate(r: Recording) -> None:
        r.request("install", "clusterrolebindings")["response"].append(
            {
                "metadata": {"name": "more"},
                "subjects": [subject],
                "roleRef": {"kind": "ClusterRole", "name": role},
            }
        )

    return mutate


def _silent(r: Recording) -> None:
    r.parts["audit"] = [e for e in r.audit if e["user"] != r.operator or e["verb"] == "create"]
    for event in r.audit:
        if event["user"] == r.operator:
            event["user"] = "system:serviceaccount:mltj-system:somebody"


ACCOUNT = {"kind": "ServiceAccount", "name": "mltj-operator", "namespace": "mltj-system"}
ALL_ACCOUNTS = {"kind": "Group", "name": "system:serviceaccounts"}
ITS_NAMESPACE = {"kind": "Group", "name": "system:serviceaccounts:mltj-system"}
AS_USER = {"kind": "User", "name": "system:serviceaccount:mltj-system:mltj-operator"}

FLAWS = (
    Flaw(CHECK, "asks for what it may not", _denied, "denied: list nodes"),
    Flaw(CHECK, "all verbs", _granted(resources=["pods"], verbs=["*"]), "no wildcards"),
    Flaw(CHECK, "all resources", _granted(resources=["*"], verbs=["get"]), "no wildcards"),
    Flaw(CHECK, "secrets", _granted(resources=["secrets"], verbs=["get"]), "get secrets in all namespaces"),
    Flaw(
        CHECK,
        "secrets of its own",
        _granted(cluster=False, resources=["secrets"], verbs=["get"]),
        "mltj-system",
    ),
    Flaw(CHECK, "impersonate", _granted(resources=["users"], verbs=["impersonate"]), "impersonate users"),
    Flaw(CHECK, "escalate", _granted(resources=["roles"], verbs=["escalate"]), "escalate roles"),
    Flaw(CHECK, "bind", _granted(resources=["roles"], verbs=["bind"]), "bind roles"),
    Flaw(CHECK, "unused", _granted(resources=["configmaps"], verbs=["get"]), "get configmaps"),
    Flaw(CHECK, "exec", _granted(resources=["pods/exec"], verbs=["create"]), "create pods/exec"),
    Flaw(
        CHECK,
        "leases everywhere",
        _granted(apiGroups=["coordination.k8s.io"], resources=["leases"], verbs=["patch"]),
        "patch leases.coordination.k8s.io in all namespaces",
    ),
    Flaw(CHECK, "any URL", _granted(nonResourceURLs=["/metrics"], verbs=["get"]), "get /metrics"),
    Flaw(CHECK, "cluster-admin", _bound("cluster-admin", ACCOUNT), "granted by ClusterRole cluster-admin"),
    Flaw(CHECK, "by its group", _bound("edit", ALL_ACCOUNTS), "granted by ClusterRole edit"),
    Flaw(CHECK, "by its namespace", _bound("edit", ITS_NAMESPACE), "granted by ClusterRole edit"),
    Flaw(CHECK, "by its user name", _bound("edit", AS_USER), "granted by ClusterRole edit"),
)


@every(FLAWS)
def test_a_right_too_many_costs_least_privilege(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_an_operator_that_did_nothing_has_not_shown_least_privilege(tmp_path: Path) -> None:
    outcome = outcomes_of(_silent, tmp_path)[CHECK]
    assert outcome.status is Status.FAILED
    assert "it made none" in outcome.observed


@pytest.mark.parametrize(
    "mutate",
    [
        _bound("cluster-admin", {**ACCOUNT, "name": "somebody"}),
        _bound("cluster-admin", {**ACCOUNT, "namespace": "kube-system"}),
        _bound("cluster-admin", {"kind": "Group", "name": "system:masters"}),
        _granted(resources=["pods", "services"], verbs=["update"]),
        _granted(apiGroups=["kopf.dev"], resources=["clusterkopfpeerings"], verbs=["patch"]),
    ],
    ids=["other account", "other namespace", "other group", "on the list", "kopf's peering"],
)
def test_rights_of_others_and_rights_on_the_list_cost_nothing(mutate: Mutation, tmp_path: Path) -> None:
    assert outcomes_of(mutate, tmp_path)[CHECK].status is Status.PASSED


def test_a_right_off_the_list_is_fine_when_it_was_used(tmp_path: Path) -> None:
    def use(r: Recording) -> None:
        _granted(resources=["configmaps"], verbs=["get"])(r)
        r.send("get", "configmaps", "settings", namespace="mltj-system")

    assert outcomes_of(use, tmp_path)[CHECK].status is Status.PASSED


def test_a_refusal_by_admission_is_not_a_denial(tmp_path: Path) -> None:
    def refuse(r: Recording) -> None:
        r.send("create", "pods", "x", code=403, annotations={"authorization.k8s.io/decision": "allow"})

    assert outcomes_of(refuse, tmp_path)[CHECK].status is Status.PASSED
