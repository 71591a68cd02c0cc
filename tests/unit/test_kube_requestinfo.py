"""Requests are read as the API server reads them, whatever their target looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.kube.requestinfo import WRITES, Match, RequestInfo, read_request_info, writes_in


def info(method: str, target: str) -> tuple[str, str, str, str, str, str]:
    """Verb, group, resource, subresource, namespace and name."""
    read = read_request_info(method, target)
    return read.verb, read.group, read.resource, read.subresource, read.namespace, read.name


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/pods", ("list", "", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", ("list", "", "pods", "", "a", "")),
        ("GET", "/api/v1/namespaces/a/pods/x", ("get", "", "pods", "", "a", "x")),
        ("HEAD", "/api/v1/namespaces/a/pods/x", ("get", "", "pods", "", "a", "x")),
        ("POST", "/api/v1/namespaces/a/pods", ("create", "", "pods", "", "a", "")),
        ("PUT", "/api/v1/namespaces/a/pods/x/status", ("update", "", "pods", "status", "a", "x")),
        ("POST", "/api/v1/namespaces/a/pods/x/binding", ("create", "", "pods", "binding", "a", "x")),
        ("POST", "/api/v1/namespaces/a/pods/x/eviction", ("create", "", "pods", "eviction", "a", "x")),
        ("GET", "/api/v1/namespaces/a/pods/x/log?follow=true", ("get", "", "pods", "log", "a", "x")),
        ("POST", "/api/v1/namespaces/a/pods/x/exec?command=sh", ("create", "", "pods", "exec", "a", "x")),
        ("GET", "/api/v1/namespaces/a/pods/x/proxy/a/b", ("get", "", "pods", "proxy", "a", "x")),
        ("DELETE", "/api/v1/namespaces/a/pods/x", ("delete", "", "pods", "", "a", "x")),
        ("DELETE", "/api/v1/namespaces/a/pods", ("deletecollection", "", "pods", "", "a", "")),
        ("GET", "/api/v1/nodes", ("list", "", "nodes", "", "", "")),
        ("PATCH", "/api/v1/nodes/n/status", ("patch", "", "nodes", "status", "", "n")),
        ("GET", "/apis/apps/v1/namespaces/a/deployments/x/scale",
         ("get", "apps", "deployments", "scale", "a", "x")),
        ("PATCH", "/apis/training.mod201.dev/v1alpha1/namespaces/a/mltrainingjobs/x/status",
         ("patch", "training.mod201.dev", "mltrainingjobs", "status", "a", "x")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/s/leases/l",
         ("update", "coordination.k8s.io", "leases", "", "s", "l")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
         ("get", "rbac.authorization.k8s.io", "clusterroles", "", "", "system:node")),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews",
         ("create", "authentication.k8s.io", "tokenreviews", "", "", "")),
    ],
)  # fmt: skip
def test_a_path_names_group_resource_and_object(method: str, target: str, expected: tuple[str, ...]) -> None:
    assert info(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/namespaces", ("list", "", "namespaces", "", "", "")),
        ("POST", "/api/v1/namespaces", ("create", "", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/a", ("get", "", "namespaces", "", "a", "a")),
        ("PUT", "/api/v1/namespaces/a/finalize", ("update", "", "namespaces", "finalize", "a", "a")),
        ("PATCH", "/api/v1/namespaces/a/status", ("patch", "", "namespaces", "status", "a", "a")),
        ("GET", "/api/v1/namespaces/status", ("get", "", "namespaces", "", "status", "status")),
    ],
)
def test_a_namespace_lies_in_itself(method: str, target: str, expected: tuple[str, ...]) -> None:
    assert info(method, target) == expected


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/pods?watch=1",
        "/api/v1/pods?watch=true",
        "/api/v1/pods?watch=TRUE",
        "/api/v1/pods?watch=yes",
        "/api/v1/pods?watch=",
        "/api/v1/pods?watch",
        "/api/v1/pods?watch=true&watch=false",
        "/api/v1/pods?w%61tch=true",
        "/api/v1/pods?resourceVersion=5&allowWatchBookmarks=true&watch=true&timeoutSeconds=300",
        "/api/v1/pods?sendInitialEvents=true&watch=1&resourceVersionMatch=NotOlderThan",
        "/api/v1/watch/pods",
        "/api/v1/watch/pods?watch=false",
    ],
)
def test_a_watch_is_one_however_it_is_asked_for(target: str) -> None:
    assert info("GET", target) == ("watch", "", "pods", "", "", "")


@pytest.mark.parametrize(
    "query", ["", "?", "?watch=0", "?watch=false", "?watch=False", "?watch=false&watch=true", "?unwatch=1"]
)
def test_a_list_is_none(query: str) -> None:
    assert info("GET", f"/api/v1/pods{query}")[0] == "list"


def test_a_watch_of_one_object_names_it() -> None:
    one = "/api/v1/namespaces/a/pods?watch=1&fieldSelector=metadata.name%3Dx"
    assert info("GET", one) == ("watch", "", "pods", "", "a", "x")
    assert info("GET", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3D%3Dx")[5] == "x"
    assert (
        info("GET", "/api/v1/namespaces/a/pods?fieldSelector=spec.nodeName%3Dn,metadata.name%3Dx")[5] == "x"
    )
    assert info("GET", "/api/v1/watch/namespaces/a/pods/x") == ("watch", "", "pods", "", "a", "x")


def test_a_field_selector_that_takes_several_names_none() -> None:
    for selector in ("metadata.name!%3Dx", "spec.nodeName%3Dn", "metadata.namespace%3Dx", ""):
        assert info("GET", f"/api/v1/pods?fieldSelector={selector}")[5] == ""


def test_a_named_object_is_got_and_not_watched() -> None:
    assert info("GET", "/api/v1/namespaces/a/pods/x?watch=1")[0] == "get"


@pytest.mark.parametrize(
    "target", ["/", "/api", "/api/", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version",
               "/healthz", "/openapi/v2", "/openapi/v3/apis/apps/v1", "/metrics", "/logs/x/y/z",
               "/apiss/apps/v1/pods"]
)  # fmt: skip
def test_what_names_no_resource_is_its_path(target: str) -> None:
    read = read_request_info("GET", f"{target}?timeout=32s")
    assert (read.verb, read.resource, read.group, read.name) == ("get", target, "", "")
    assert not read_request_info("POST", target).is_write


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/v1/namespaces/a%2Fpods/x", ("get", "", "pods", "", "a", "x")),
        ("/%61pi/v1/namespaces/a/%70ods/x", ("get", "", "pods", "", "a", "x")),
        ("//api/v1/namespaces/a/pods/x", ("get", "", "pods", "", "a", "x")),
        ("/api/v1/namespaces/a/pods/x/", ("get", "", "pods", "", "a", "x")),
        ("/api/v1/namespaces/a/pods/x%3Fwatch=1", ("get", "", "pods", "", "a", "x?watch=1")),
        ("/api/v1/namespaces/a/../b/pods", ("get", "", "..", "pods", "a", "b")),
        ("/api/v1/namespaces/../pods/x", ("get", "", "pods", "", "..", "x")),
        ("/api/v1//pods", ("get", "", "/api/v1//pods", "", "", "pods")),
        ("/api/v1/namespaces/a//pods", ("get", "", "/api/v1/namespaces/a//pods", "", "a", "pods")),
        ("/api/v1/namespaces/a/pods/%zz", ("get", "", "pods", "", "a", "%zz")),
        ("/api/v1/namespaces/a/pods/%ff%00", ("get", "", "pods", "", "a", "\ufffd\x00")),
    ],
)
def test_an_odd_path_is_read_as_the_api_server_reads_it(target: str, expected: tuple[str, ...]) -> None:
    assert info("GET", target) == expected


def test_an_odd_method_is_no_write() -> None:
    for method in ("OPTIONS", "TRACE", "CONNECT", "PROPFIND", ""):
        assert read_request_info(method, "/api/v1/namespaces/a/pods/x").verb == ""
        assert not read_request_info(method, "/api/v1/namespaces/a/pods/x").is_write


@given(st.text(max_size=12), st.text(max_size=200))
def test_no_target_breaks_the_reading(method: str, target: str) -> None:
    read = read_request_info(method, target)
    assert str(read) == str(read).rstrip()
    for prefix in ("/api/v1/", "/apis/g/v1/", "/api/v1/namespaces/", "/api/v1/watch/", "/api/v1/pods?"):
        read_request_info("GET", prefix + target)


def test_a_dry_run_is_no_write() -> None:
    assert read_request_info("POST", "/api/v1/namespaces/a/pods").is_write
    assert not read_request_info("POST", "/api/v1/namespaces/a/pods?dryRun=All").is_write
    assert not read_request_info("GET", "/api/v1/namespaces/a/pods").is_write
    assert read_request_info("DELETE", "/api/v1/namespaces/a/pods").is_write


def test_a_request_reads_well() -> None:
    assert str(read_request_info("PATCH", "/api/v1/namespaces/a/pods/x/status")) == "patch pods/status a/x"
    assert str(read_request_info("GET", "/api/v1/pods")) == "list pods"
    assert str(read_request_info("GET", "/api/v1/nodes/n")) == "get nodes n"


class TestMatch:
    POD = RequestInfo("create", resource="pods", namespace="a", name="x")

    def test_empty_takes_everything(self) -> None:
        assert Match().covers(self.POD)
        assert Match().covers(RequestInfo("get", resource="/version"))
        assert Match().covers_object({"metadata": {}})

    @pytest.mark.parametrize(
        "match",
        [
            Match(verbs=frozenset({"get"})),
            Match(resources=frozenset({"services"})),
            Match(except_resources=frozenset({"pods"})),
            Match(subresource="status"),
            Match(namespaces=frozenset({"b"})),
            Match(name="y"),
        ],
        ids=["verb", "resource", "exception", "subresource", "namespace", "name"],
    )
    def test_each_field_narrows(self, match: Match) -> None:
        assert not match.covers(self.POD)

    def test_an_empty_subresource_means_the_object_itself(self) -> None:
        assert Match(subresource="").covers(self.POD)
        assert not Match(subresource="").covers(RequestInfo("update", resource="pods", subresource="status"))

    def test_a_watch_may_carry_what_is_meant(self) -> None:
        meant = Match(resources=frozenset({"pods"}), namespaces=frozenset({"a"}), name="x")
        for target in (
            "/api/v1/pods?watch=1",
            "/api/v1/namespaces/a/pods?watch=1",
            "/api/v1/namespaces/a/pods?watch=1&fieldSelector=metadata.name%3Dx",
        ):
            assert meant.covers_stream(read_request_info("GET", target)), target
        for target in (
            "/api/v1/namespaces/b/pods?watch=1",
            "/api/v1/namespaces/a/services?watch=1",
            "/api/v1/namespaces/a/pods?watch=1&fieldSelector=metadata.name%3Dy",
            "/api/v1/namespaces/a/pods",
        ):
            assert not meant.covers_stream(read_request_info("GET", target)), target

    def test_an_object_is_meant_by_namespace_and_name(self) -> None:
        meant = Match(namespaces=frozenset({"a"}), name="x")
        assert meant.covers_object({"metadata": {"namespace": "a", "name": "x"}})
        for metadata in ({"namespace": "b", "name": "x"}, {"namespace": "a", "name": "y"}, {}, None, [], "a"):
            assert not meant.covers_object({"metadata": metadata})
        assert not meant.covers_object({})

    def test_writes_of_the_lab_leave_election_and_narration_aside(self) -> None:
        match = writes_in("a")
        assert match.verbs == WRITES
        assert match.covers(self.POD)
        for resource in ("events", "leases"):
            assert not match.covers(RequestInfo("create", resource=resource, namespace="a"))
        assert not match.covers(RequestInfo("create", resource="pods", namespace="b"))
        assert not writes_in("a", resources=["services"]).covers(self.POD)
