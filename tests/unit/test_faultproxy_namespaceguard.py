"""On somebody's cluster an operator writes in the namespaces it is graded in, whatever its rights."""

from __future__ import annotations

import pytest

from graders.faultproxy import NamespaceGuard, read_request_info

OURS = "/api/v1/namespaces/ours"
THEIRS = "/api/v1/namespaces/theirs"
ROLES = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def fence() -> NamespaceGuard:
    return NamespaceGuard(lambda namespace: namespace == "ours")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"{OURS}/pods"),
        ("DELETE", f"{OURS}/pods"),
        ("GET", f"{OURS}/secrets"),
        ("GET", f"{OURS}/pods/a/log"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ours/leases/lock"),
        ("GET", "/api/v1/pods?watch=1"),
        ("GET", f"{THEIRS}/pods"),
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/nodes/a/status"),
        ("GET", "/version"),
        ("POST", f"{THEIRS}/pods?dryRun=All"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
def test_what_changes_nothing_of_theirs_passes(fence: NamespaceGuard, method: str, target: str) -> None:
    assert fence.lets(read_request_info(method, target))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"{THEIRS}/pods"),
        ("DELETE", f"{THEIRS}/pods/a"),
        ("DELETE", f"{THEIRS}/pods"),
        ("PATCH", "/api/v1/nodes/a"),
        ("DELETE", "/api/v1/namespaces/ours"),
        ("PUT", "/api/v1/namespaces/ours/finalize"),
        ("POST", f"{ROLES}/clusterrolebindings"),
        ("POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
        ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a"),
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/secrets?watch=1"),
        ("PATCH", f"{THEIRS}/secrets/a?dryRun=All"),
        ("POST", f"{THEIRS}/serviceaccounts/a/token?dryRun=All"),
        ("GET", f"{THEIRS}/secrets/a"),
        ("GET", f"{THEIRS}/pods/a/log"),
        ("GET", f"{THEIRS}/pods/a/exec?command=sh"),
        ("GET", f"{THEIRS}/services/a/proxy"),
        ("GET", "/api/v1/nodes/a/proxy"),
        ("POST", "/anything"),
    ],
)
def test_what_would_change_or_tell_theirs_does_not(fence: NamespaceGuard, method: str, target: str) -> None:
    assert not fence.lets(read_request_info(method, target))
