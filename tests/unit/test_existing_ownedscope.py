"""In somebody's cluster: what is ours is marked and noted before it is made, what is not is not touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.existing.cleanup import undo
from graders.clusters.existing.journal import GuestJournal, Head, read_journal
from graders.clusters.existing.ownedscope import RUN, SIMULATED, OutOfScopeWrite, OwnedScope, dressed
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.ownership import NotUndone
from tests.unit.tiny_api import TinyApi, kubeconfig

HEAD = Head("abc", "theirs", "https://api.example", "uid-1")
NODES, SPACES = "/api/v1/nodes", "/api/v1/namespaces"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/operator"


@pytest.fixture
def api() -> TinyApi:
    return TinyApi()


@pytest.fixture
def kube(api: TinyApi, tmp_path: Path) -> Iterator[Kube]:
    with api.client(tmp_path) as kube:
        yield kube


@pytest.fixture
def journal(tmp_path: Path) -> GuestJournal:
    journal = GuestJournal(tmp_path)
    journal.open(HEAD)
    return journal


@pytest.fixture
def scope(kube: Kube, journal: GuestJournal) -> OwnedScope:
    return OwnedScope(kube, journal, "abc")


def noted(folder: Path) -> tuple[str, ...]:
    found = read_journal(folder)
    assert found is not None
    return found[1]


# --- marks and notes ---------------------------------------------------------------------------------


def test_what_is_made_outside_of_namespaces_is_labelled_and_noted_first(
    scope: OwnedScope, tmp_path: Path
) -> None:
    sent = scope.admit("POST", SPACES, {}, {"metadata": {"name": "mine", "labels": {"a": "b"}}})
    assert sent["metadata"]["labels"] == {"a": "b", RUN: "abc"}
    assert noted(tmp_path) == (f"{SPACES}/mine",)
    assert scope.owns("mine")
    assert not scope.owns("default")


def test_what_is_in_a_namespace_of_ours_is_sent_as_it_is(scope: OwnedScope, tmp_path: Path) -> None:
    scope.admit("POST", SPACES, {}, {"metadata": {"name": "mine"}})
    pod = {"metadata": {"name": "a"}}
    for method, path in (
        ("POST", "pods"),
        ("PATCH", "pods/a"),
        ("DELETE", "pods"),
        ("POST", "pods/a/eviction"),
    ):
        assert scope.admit(method, f"{SPACES}/mine/{path}", {}, pod) is pod
    assert noted(tmp_path) == (f"{SPACES}/mine",)


def test_a_node_gets_what_keeps_others_off_it(scope: OwnedScope) -> None:
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "zone": "a"}
    node = {
        "metadata": {"name": "n", "labels": labels, "annotations": {SIMULATED: "true"}},
        "spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]},
    }
    sent = scope.admit("POST", NODES, {}, node)
    assert sent["metadata"]["annotations"][SIMULATED] == "abc"
    assert sent["metadata"]["labels"].keys() == {
        "zone", RUN, "node.kubernetes.io/exclude-from-external-load-balancers"
    }  # fmt: skip
    assert [taint["key"] for taint in sent["spec"]["taints"]] == ["own", SIMULATED]
    assert node["metadata"]["labels"] == labels

    (toleration,) = scope.pod["tolerations"]
    (taint,) = [taint for taint in sent["spec"]["taints"] if taint["key"] == SIMULATED]
    assert {key: toleration[key] for key in taint} == taint
    assert scope.pod["nodeSelector"].items() <= sent["metadata"]["labels"].items()


def test_an_object_applied_again_keeps_its_mark(scope: OwnedScope, api: TinyApi) -> None:
    """What an apply leaves out, it takes away."""
    api.paths[ROLE] = lambda: (404, {})
    role = {"apiVersion": "v1", "kind": "ClusterRole", "metadata": {"name": "operator"}}
    for _ in range(2):
        sent = scope.admit("PATCH", ROLE, {"fieldManager": "kubeproof"}, role)
        assert sent["metadata"]["labels"] == {RUN: "abc"}
    assert [path for _, path, *_ in api.asked] == [ROLE]


def test_a_change_to_what_is_ours_is_sent_as_it_is(scope: OwnedScope) -> None:
    scope.admit("POST", NODES, {}, {"metadata": {"name": "n"}})
    change = {"spec": {"unschedulable": True}}
    assert scope.admit("PATCH", f"{NODES}/n", {}, change) is change
    assert scope.admit("DELETE", f"{NODES}/n", {}, None) is None


def test_the_client_has_its_writes_looked_at_and_its_reads_not(
    api: TinyApi, kube: Kube, scope: OwnedScope, tmp_path: Path
) -> None:
    mine = Kube(tmp_path / "kubeconfig", guest=scope)
    mine.get(f"{NODES}/theirs")
    mine.create(NODES, {"metadata": {"name": "n"}})
    with pytest.raises(OutOfScopeWrite):
        mine.patch(f"{NODES}/theirs", {"spec": {}})
    assert [(method, path) for method, path, *_ in api.asked] == [("GET", f"{NODES}/theirs"), ("POST", NODES)]
    assert api.asked[-1][3]["metadata"]["labels"][RUN] == "abc"


# --- what is not ours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{NODES}/theirs"),
        ("PATCH", f"{NODES}/theirs/status"),
        ("DELETE", f"{SPACES}/default"),
        ("POST", f"{SPACES}/default/pods"),
        ("DELETE", f"{SPACES}/kube-system/pods/a"),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/shop/leases"),
        ("DELETE", NODES),
        ("POST", "/logs/a"),
    ],
)
def test_what_is_not_ours_is_never_changed(scope: OwnedScope, api: TinyApi, method: str, path: str) -> None:
    with pytest.raises(OutOfScopeWrite, match="not kubeproof's to change"):
        scope.admit(method, path, {}, {"metadata": {}})
    assert api.asked == []


@pytest.mark.parametrize("labels", [{}, {RUN: "another"}])
def test_what_somebody_else_has_made_is_never_applied_over(
    scope: OwnedScope, api: TinyApi, tmp_path: Path, labels: dict[str, str]
) -> None:
    api.paths[ROLE] = lambda: (200, {"metadata": {"name": "operator", "labels": labels}})
    with pytest.raises(InfraFault, match="clusterroles operator is in the cluster already"):
        scope.admit("PATCH", ROLE, {}, {"kind": "ClusterRole", "metadata": {"name": "operator"}})
    assert noted(tmp_path) == ()


def test_questions_and_trials_change_nothing_and_pass(scope: OwnedScope, tmp_path: Path) -> None:
    body = {"kind": "Pod", "metadata": {"name": "a"}}
    assert scope.admit("POST", f"{SPACES}/default/pods", {"dryRun": "All"}, body) is body
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert scope.admit("POST", reviews, {}, body) is body
    assert noted(tmp_path) == ()


def test_once_the_run_is_over_nothing_is_made_any_more(scope: OwnedScope, tmp_path: Path) -> None:
    scope.end()
    with pytest.raises(InfraFault, match="the run is over"):
        scope.admit("POST", SPACES, {}, {"metadata": {"name": "late"}})
    assert noted(tmp_path) == ()


def test_marks_leave_the_manifest_as_it_was() -> None:
    manifest: dict[str, Any] = {"metadata": {"name": "a"}}
    dressed(manifest, "abc", node=True)
    assert manifest == {"metadata": {"name": "a"}}


# --- notes -------------------------------------------------------------------------------------------


def test_notes_outlive_their_writer_even_if_the_last_is_half_written(
    journal: GuestJournal, tmp_path: Path
) -> None:
    for path in ("/api/v1/nodes/a", "/api/v1/nodes/b", "/api/v1/nodes/a"):
        journal.note(path)
    with (tmp_path / "made.jsonl").open("a") as made:
        made.write('"/api/v1/nodes/c')
    assert read_journal(tmp_path) == (HEAD, ("/api/v1/nodes/a", "/api/v1/nodes/b"))


@pytest.mark.parametrize("head", ["", "not json", json.dumps({"schema": "kubeproof/other/v1"})])
def test_without_a_head_there_is_nothing_to_take_away(tmp_path: Path, head: str) -> None:
    (tmp_path / "guest.json").write_text(head)
    assert read_journal(tmp_path) is None
    undo(tmp_path)


def test_notes_are_closed_once_all_is_gone(journal: GuestJournal, tmp_path: Path) -> None:
    journal.close()
    assert read_journal(tmp_path) is None


# --- taking away -------------------------------------------------------------------------------------


def _left_by_a_run(api: TinyApi, folder: Path, *, uid: str = "uid-1", run: str = "abc") -> dict[str, bool]:
    """A node was noted and made by `run`; gives what is there, which deletions change."""
    there = {"node": True}
    api.paths[f"{SPACES}/kube-system"] = lambda: (200, {"metadata": {"uid": uid}})
    node = {"metadata": {"name": "n", "uid": "u", "labels": {RUN: run}}}

    def answer() -> tuple[int, Any]:
        if api.asked[-1][0] == "DELETE":
            there["node"] = False
        return (200, node) if there["node"] else (404, {})

    api.paths[f"{NODES}/n"] = answer
    GuestJournal(folder).note(f"{NODES}/n")
    return there


def test_what_was_noted_and_is_ours_is_taken_away(
    api: TinyApi, tmp_path: Path, journal: GuestJournal
) -> None:
    there = _left_by_a_run(api, tmp_path)
    with api.serve() as url:
        kubeconfig(tmp_path, url)
        undo(tmp_path)
    assert not there["node"]
    assert read_journal(tmp_path) is None
    deleted = [(path, body) for method, path, _, body, _ in api.asked if method == "DELETE"]
    assert (f"{NODES}/n", {"preconditions": {"uid": "u"}}) in deleted


def test_what_was_noted_and_is_another_s_stays(api: TinyApi, tmp_path: Path, journal: GuestJournal) -> None:
    there = _left_by_a_run(api, tmp_path, run="another")
    with api.serve() as url:
        kubeconfig(tmp_path, url)
        undo(tmp_path)
    assert there["node"]
    assert read_journal(tmp_path) is None


def test_another_cluster_under_the_same_context_is_left_alone(
    api: TinyApi, tmp_path: Path, journal: GuestJournal
) -> None:
    there = _left_by_a_run(api, tmp_path, uid="uid-2")
    with api.serve() as url:
        kubeconfig(tmp_path, url)
        with pytest.raises(NotUndone, match="leads to another cluster by now"):
            undo(tmp_path)
    assert there["node"]
    assert read_journal(tmp_path) is not None


def test_a_cluster_out_of_reach_keeps_the_notes_for_the_next_time(
    tmp_path: Path, journal: GuestJournal
) -> None:
    kubeconfig(tmp_path, "https://127.0.0.1:9")
    with pytest.raises(NotUndone, match="what run abc made in context theirs is still there"):
        undo(tmp_path)
    assert read_journal(tmp_path) is not None


def test_what_does_not_go_is_told_once_and_noted_for_the_next_process(
    api: TinyApi, tmp_path: Path, journal: GuestJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    _left_by_a_run(api, tmp_path)
    api.paths[f"{NODES}/n"] = lambda: (200, {"metadata": {"name": "n", "uid": "u", "labels": {RUN: "abc"}}})
    monkeypatch.setattr("graders.clusters.existing.cleanup.GONE_WITHIN_S", 0.3)
    with api.serve() as url:
        kubeconfig(tmp_path, url)
        with pytest.raises(NotUndone, match="nodes n"):
            undo(tmp_path)
        asked = len(api.asked)
        with pytest.raises(NotUndone, match="nodes n"):
            undo(tmp_path)
    assert len(api.asked) == asked
    assert read_journal(tmp_path) is not None
