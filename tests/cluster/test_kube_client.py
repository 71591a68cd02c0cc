"""The client against a real API server: paths, refusals, patches, apply, watches."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from graders.evidence.auditing import AuditRecorder
from graders.evidence.recording import Recording
from graders.evidence.watching import WatchRecorder
from graders.faults import InfraFault
from graders.kube.client import JSON_PATCH, ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, wait_for
from tests.cluster.proxied import World
from tests.unit.tiny_api import kubeconfig

pytestmark = pytest.mark.cluster

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def recording(world: World) -> Recording:
    return world.recording


@pytest.fixture
def audit(world: World) -> AuditRecorder:
    return world.audit


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return str(request.node.name).replace("_", "-").replace("[", "-").rstrip("]")[-50:].strip("-").lower()


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


def test_what_is_created_can_be_read_changed_and_deleted(kube: Kube, name: str) -> None:
    created = kube.create(MAPS, config_map(name, a="1"))
    assert created["metadata"]["uid"]
    assert kube.patch(f"{MAPS}/{name}", {"data": {"b": "2", "a": None}})["data"] == {"b": "2"}
    replace = [{"op": "replace", "path": "/data/b", "value": "3"}]
    assert kube.patch(f"{MAPS}/{name}", replace, JSON_PATCH)["data"] == {"b": "3"}
    kube.delete(f"{MAPS}/{name}")
    assert kube.find(f"{MAPS}/{name}") is None


def test_deleting_what_is_not_there_is_fine(kube: Kube, name: str) -> None:
    assert kube.delete(f"{MAPS}/{name}")["code"] == 404


def test_a_refusal_carries_the_answer(kube: Kube, name: str) -> None:
    kube.create(MAPS, config_map(name))
    with pytest.raises(ApiRefused, match=rf"POST {MAPS}: 409 configmaps .* already exists") as refused:
        kube.create(MAPS, config_map(name))
    assert refused.value.answer.code == 409
    assert refused.value.answer.body["reason"] == "AlreadyExists"


def test_a_request_gives_refusals_as_answers(kube: Kube) -> None:
    answer = kube.request("POST", MAPS, body=config_map("Not A Name"))
    assert (answer.code, answer.ok) == (422, False)
    assert "Invalid value" in answer.message


def test_a_query_reaches_the_server(kube: Kube, name: str) -> None:
    kube.create(MAPS, config_map(name), dryRun="All")
    assert kube.find(f"{MAPS}/{name}") is None


def test_reading_something_missing_is_a_refusal_unless_asked_for(kube: Kube) -> None:
    with pytest.raises(ApiRefused, match="404"):
        kube.get(f"{MAPS}/missing")
    with pytest.raises(ApiRefused, match="404"):
        kube.get("/apis/no.such.group/v1/things")


def test_kinds_are_called_what_the_server_calls_them(kube: Kube) -> None:
    def path(api_version: str, kind: str, **metadata: str) -> str:
        return kube.path_for({"apiVersion": api_version, "kind": kind, "metadata": metadata})

    assert path("v1", "Pod", name="x", namespace="a") == "/api/v1/namespaces/a/pods/x"
    assert path("v1", "Pod", name="x") == "/api/v1/namespaces/default/pods/x"
    assert path("v1", "Namespace", name="x") == "/api/v1/namespaces/x"
    assert path("networking.k8s.io/v1", "NetworkPolicy", name="x", namespace="a") == (
        "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/x"
    )
    assert path("rbac.authorization.k8s.io/v1", "ClusterRole", name="x:y") == (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/x:y"
    )


def test_a_kind_nobody_serves_is_a_404_in_words(kube: Kube) -> None:
    with pytest.raises(ApiRefused, match="no kind 'Pot' is registered for v1") as refused:
        kube.path_for({"apiVersion": "v1", "kind": "Pot", "metadata": {"name": "x"}})
    assert refused.value.answer.code == 404
    manifest = {"apiVersion": "no.such.group/v1", "kind": "Pod", "metadata": {"name": "x"}}
    assert kube.apply(manifest).code == 404


def test_applying_creates_and_updates(kube: Kube, name: str) -> None:
    assert kube.apply(config_map(name, a="1")).code == 201
    again = kube.apply(config_map(name, a="2"))
    assert (again.code, again.body["data"]) == (200, {"a": "2"})


def test_applying_an_unknown_field_is_refused(kube: Kube, name: str) -> None:
    answer = kube.apply({**config_map(name), "dat": {"a": "1"}})
    assert not answer.ok
    assert "dat" in answer.message


def test_a_watch_tells_what_happens_from_a_version_on(kube: Kube, name: str) -> None:
    version = kube.get(MAPS)["metadata"]["resourceVersion"]
    kube.create(MAPS, config_map(name))
    kube.patch(f"{MAPS}/{name}", {"data": {"a": "1"}})
    kube.delete(f"{MAPS}/{name}")
    seen = []
    for event in kube.watch(MAPS, version):
        if event["object"]["metadata"].get("name") == name:
            seen.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_that_is_refused_says_why(kube: Kube) -> None:
    with pytest.raises(ApiRefused, match=f"GET {MAPS}: 500 resourceVersion: Invalid value"):
        next(iter(kube.watch(MAPS, "not-a-version")))


def test_many_threads_share_a_client(kube: Kube, name: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for nth in range(5):
                kube.create(MAPS, config_map(f"{name}-{number}-{nth}"))
        except BaseException as error:  # (told to the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = {item["metadata"]["name"] for item in kube.get(MAPS)["items"]}
    assert sum(each.startswith(name) for each in names) == 40


def test_the_certificate_authority_is_at_hand(kube: Kube) -> None:
    assert kube.ca_certificate().startswith(b"-----BEGIN CERTIFICATE-----")


def test_the_audit_log_tells_who_did_what(
    kube: Kube, audit: AuditRecorder, name: str, recording: Recording
) -> None:
    before = recording.clock.now()
    kube.create(MAPS, config_map(name))

    def told() -> float:
        last = audit.last_write("kubeproof-grader", "default")
        if last is None or last < before - 0.01:
            raise NotYet("nothing yet")
        return last

    assert wait_for(told, timeout_s=10) <= recording.clock.now()
    assert audit.damaged == 0


def test_a_recorder_s_watch_follows_a_real_server(kube: Kube, name: str, recording: Recording) -> None:
    with WatchRecorder(recording, kube, {"configmaps": "/api/v1/configmaps"}) as watches:
        kube.create(MAPS, config_map(name, a="1"))

        def there() -> None:
            if name not in watches.objects("configmaps", "default"):
                raise NotYet("not seen")

        def gone() -> None:
            if name in watches.objects("configmaps", "default"):
                raise NotYet("still seen")

        wait_for(there, timeout_s=10)
        assert "managedFields" not in watches.objects("configmaps", "default")[name]["metadata"]
        kube.delete(f"{MAPS}/{name}")
        wait_for(gone, timeout_s=10)
        assert watches.problem == ""


def test_a_server_that_is_not_there_is_the_machine_s_fault(tmp_path: Path) -> None:
    kube = Kube(kubeconfig(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(InfraFault, match="GET /version got no answer"):
        kube.get("/version")


@pytest.mark.parametrize("text", ["", "{", "apiVersion: v1\nkind: Config\n", "- a\n- b\n"])
def test_a_kubeconfig_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(InfraFault, match=rf"the kubeconfig {path} cannot be used"):
        Kube(path)


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfraFault, match="cannot be used"):
        Kube(tmp_path / "missing")


def test_names_in_paths_cannot_leave_their_place() -> None:
    assert resource_path("v1", "pods", namespace="a/../b", name="x/../../y?z") == (
        "/api/v1/namespaces/a%2F..%2Fb/pods/x%2F..%2F..%2Fy%3Fz"
    )
