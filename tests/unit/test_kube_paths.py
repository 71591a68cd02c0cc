"""Paths of the Kubernetes API, made and read."""

from __future__ import annotations

import pytest

from graders.kube.paths import Target, read_path, resource_path


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/nodes", Target("", "v1", "nodes")),
        ("/api/v1/nodes/a/status", Target("", "v1", "nodes", "", "a", "status")),
        ("/api/v1/namespaces/a", Target("", "v1", "namespaces", "", "a")),
        ("/api/v1/namespaces/a/finalize", Target("", "v1", "namespaces", "", "a", "finalize")),
        ("/api/v1/namespaces/a/pods/b/eviction", Target("", "v1", "pods", "a", "b", "eviction")),
        ("/apis/apps/v1/deployments", Target("apps", "v1", "deployments")),
        ("/apis/x.org/v1beta1/namespaces/a/jobs/b%2Fc", Target("x.org", "v1beta1", "jobs", "a", "b/c")),
    ],
)
def test_a_path_says_what_it_is_about(path: str, target: Target) -> None:
    assert read_path(path) == target


@pytest.mark.parametrize("path", ["/version", "/api", "/api/v1", "/apis/apps/v1", "/logs/a/b/c", ""])
def test_a_path_of_no_resource_is_none(path: str) -> None:
    assert read_path(path) is None


@pytest.mark.parametrize(
    ("version", "plural", "namespace", "name"),
    [("v1", "nodes", "", "a"), ("apps/v1", "deployments", "a", "b"), ("v1", "pods", "a", "")],
)
def test_what_was_made_is_read_as_it_was_meant(version: str, plural: str, namespace: str, name: str) -> None:
    path = resource_path(version, plural, namespace=namespace, name=name)
    target = read_path(path)
    assert target is not None
    assert (target.plural, target.namespace, target.name, target.path) == (plural, namespace, name, path)
