"""RBAC as lab 1 judges it: what is on the list, what was used, what roles and bindings grant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import AuditEvent, Request
from graders.lab1.rights import Right, granted, in_list, used
from tests.unit.synthetic_bundle import make_manifest

OURS = "mltj-system"
JOBS = "training.mod201.dev"
LEASES = "coordination.k8s.io"


def right(group: str, resource: str, verb: str, namespace: str = "") -> Right:
    return Right(group, resource, verb, namespace, "Role test")


@pytest.mark.parametrize(
    "listed",
    [
        right(JOBS, "mltrainingjobs", "delete"),
        right(JOBS, "mltrainingjobs/status", "patch"),
        right(JOBS, "mltrainingjobs/finalizers", "update"),
        right("", "pods", "create"),
        right("", "services", "delete"),
        right("", "events", "create"),
        right("events.k8s.io", "events", "patch"),
        right("", "nodes", "watch"),
        right(LEASES, "leases", "create", OURS),
        right("apiextensions.k8s.io", "customresourcedefinitions", "list"),
        right("", "namespaces", "watch"),
        right("kopf.dev", "clusterkopfpeerings", "patch"),
    ],
    ids=str,
)
def test_rights_on_the_list(listed: Right) -> None:
    assert in_list(listed, OURS)


@pytest.mark.parametrize(
    "unlisted",
    [
        right(JOBS, "mltrainingjobs", "create"),
        right(JOBS, "mltrainingjobs", "deletecollection"),
        right(JOBS, "mltrainingjobs/status", "delete"),
        right("", "pods", "deletecollection"),
        right("", "pods/exec", "create"),
        right("", "pods/eviction", "create"),
        right("", "events", "delete"),
        right("", "nodes", "patch"),
        right("", "namespaces", "create"),
        right("", "secrets", "get"),
        right("", "configmaps", "get"),
        right("apps", "pods", "get"),
        right(LEASES, "leases", "create"),
        right(LEASES, "leases", "create", "default"),
        right(LEASES, "leases", "delete", OURS),
        right("apiextensions.k8s.io", "customresourcedefinitions", "update"),
        right("*", "pods", "get"),
    ],
    ids=str,
)
def test_rights_off_the_list(unlisted: Right) -> None:
    assert not in_list(unlisted, OURS)


def test_a_right_reads_as_a_sentence_part() -> None:
    assert str(right("", "pods", "get")) == "get pods in all namespaces"
    assert str(right(LEASES, "leases", "get", OURS)) == "get leases.coordination.k8s.io in mltj-system"


def test_use_is_told_as_rbac_names_it() -> None:
    def event(group: str, resource: str, subresource: str, verb: str) -> AuditEvent:
        return AuditEvent(0, 0, "", "u", verb, group, resource, subresource, "a", "b", 200)

    events = [event(JOBS, "mltrainingjobs", "status", "patch"), event("", "pods", "", "list")]
    assert used(events) == {(JOBS, "mltrainingjobs/status", "patch"), ("", "pods", "list")}


def rights(folder: Path, **items: list[dict[str, Any]]) -> set[str]:
    """What these roles and bindings grant the operator's account."""
    writer = BundleWriter(folder / "bundle")
    for plural, found in items.items():
        writer.add(Request(0.0, "install", plural, "GET", "/", 200, None, found))
    writer.close(make_manifest())
    return {f"{each} by {each.source}" for each in granted(Bundle(folder / "bundle"), OURS, "mltj-operator")}


def role(name: str, namespace: str = "", rule: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "rules": [rule] if rule else None}


def binding(kind: str, role_name: str, namespace: str = "", *subjects: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "b", **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": role_name}, "subjects": list(subjects)}


ME = {"kind": "ServiceAccount", "name": "mltj-operator", "namespace": OURS}
GET_PODS = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}


def test_a_role_holds_in_the_namespace_of_its_binding(tmp_path: Path) -> None:
    found = rights(
        tmp_path, roles=[role("r", "x", rule=GET_PODS)], rolebindings=[binding("Role", "r", "x", ME)]
    )
    assert found == {"get pods in x by Role r"}


def test_a_role_of_another_namespace_is_not_bound(tmp_path: Path) -> None:
    found = rights(
        tmp_path, roles=[role("r", "y", rule=GET_PODS)], rolebindings=[binding("Role", "r", "x", ME)]
    )
    assert found == set()


def test_a_cluster_role_bound_in_a_namespace_holds_there_only(tmp_path: Path) -> None:
    found = rights(
        tmp_path, clusterroles=[role("r", rule=GET_PODS)], rolebindings=[binding("ClusterRole", "r", "x", ME)]
    )
    assert found == {"get pods in x by ClusterRole r"}


def test_every_combination_of_a_rule_is_a_right(tmp_path: Path) -> None:
    rule = {"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["a", "b"]}
    found = rights(
        tmp_path,
        clusterroles=[role("r", rule=rule)],
        clusterrolebindings=[binding("ClusterRole", "r", "", ME)],
    )
    assert len(found) == 8


def test_a_right_granted_twice_is_told_once(tmp_path: Path) -> None:
    twice = [binding("ClusterRole", "r", "", ME), binding("ClusterRole", "r", "", ME)]
    assert len(rights(tmp_path, clusterroles=[role("r", rule=GET_PODS)], clusterrolebindings=twice)) == 1


def test_a_role_that_came_with_the_cluster_counts_as_everything(tmp_path: Path) -> None:
    found = rights(tmp_path, clusterrolebindings=[binding("ClusterRole", "cluster-admin", "", ME)])
    assert found == {"* *.* in all namespaces by ClusterRole cluster-admin"}


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "Group", "name": "system:serviceaccounts"},
        {"kind": "Group", "name": "system:serviceaccounts:mltj-system"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "User", "name": "system:serviceaccount:mltj-system:mltj-operator"},
    ],
    ids=lambda subject: subject["name"],
)
def test_the_account_is_found_under_every_name_it_has(subject: dict[str, str], tmp_path: Path) -> None:
    found = rights(
        tmp_path,
        clusterroles=[role("r", rule=GET_PODS)],
        clusterrolebindings=[binding("ClusterRole", "r", "", subject)],
    )
    assert found


@pytest.mark.parametrize(
    "subject",
    [
        {**ME, "name": "other"},
        {**ME, "namespace": "other"},
        {"kind": "User", "name": "mltj-operator"},
        {"kind": "Group", "name": "system:serviceaccounts:other"},
    ],
    ids=str,
)
def test_what_others_may_do_is_their_business(subject: dict[str, str], tmp_path: Path) -> None:
    found = rights(
        tmp_path,
        clusterroles=[role("r", rule=GET_PODS)],
        clusterrolebindings=[binding("ClusterRole", "r", "", subject)],
    )
    assert found == set()


def test_empty_roles_and_bindings_grant_nothing(tmp_path: Path) -> None:
    empty = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": None}
    assert rights(tmp_path, clusterroles=[role("r")], clusterrolebindings=[empty]) == set()
