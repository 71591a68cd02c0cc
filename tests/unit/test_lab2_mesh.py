"""Mesh policy is computed: the reference has no problem, and each change of it has just its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from graders.lab2.mesh import DEMAND
from graders.paths import REPOSITORY

ISTIO = REPOSITORY / "solutions" / "lab2" / "reference" / "mesh" / "istio.yaml"
Objects = list[dict[str, Any]]


def istio() -> Objects:
    return list(yaml.safe_load_all(ISTIO.read_text("utf-8")))


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def problems(objects: Objects, mesh: str = "istio") -> list[str]:
    return [f"{expected}: {observed}" for expected, observed in DEMAND.problems(mesh, objects)]


def test_the_reference_has_none() -> None:
    assert problems(istio()) == []


def permissive(objects: Objects) -> None:
    named(objects, "PeerAuthentication", "default")["spec"]["mtls"]["mode"] = "PERMISSIVE"


def permissive_port(objects: Objects) -> None:
    spec = {"selector": {"matchLabels": {"app.kubernetes.io/name": "web"}}, "mtls": {"mode": "STRICT"}}
    spec["portLevelMtls"] = {8080: {"mode": "PERMISSIVE"}}
    objects.append(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "web", "namespace": "web"},
            "spec": spec,
        }
    )


def other_port(objects: Objects) -> None:
    permissive_port(objects)
    objects[-1]["spec"]["portLevelMtls"] = {9090: {"mode": "DISABLE"}}


def nothing_denied(objects: Objects) -> None:
    objects.remove(named(objects, "AuthorizationPolicy", "nothing"))


def any_of_gateway(objects: Objects) -> None:
    rule = named(objects, "AuthorizationPolicy", "web")["spec"]["rules"][0]
    rule["from"] = [{"source": {"namespaces": ["gateway"]}}]


def everybody(objects: Objects) -> None:
    named(objects, "AuthorizationPolicy", "cache")["spec"]["rules"] = [{}]


def metrics_for_everybody(objects: Objects) -> None:
    spec = {"rules": [{"to": [{"operation": {"ports": ["9113"]}}]}]}
    objects.append({**named(objects, "AuthorizationPolicy", "nothing"), "spec": spec})
    objects[-1]["metadata"] = {"name": "metrics", "namespace": "web"}


def all_but_its_own(objects: Objects) -> None:
    metrics_for_everybody(objects)
    objects[-1]["spec"]["rules"][0]["to"] = [{"operation": {"notPorts": ["8080", "6379"]}}]


def nothing_through_a_gateway(objects: Objects) -> None:
    gateway = {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "front"}
    named(objects, "AuthorizationPolicy", "nothing")["spec"] = {"targetRefs": [gateway]}


def denied_as_well(objects: Objects) -> None:
    copied = copy.deepcopy(named(objects, "AuthorizationPolicy", "web"))
    copied["metadata"]["name"], copied["spec"]["action"] = "no", "DENY"
    objects.append(copied)


def terminates(objects: Objects) -> None:
    named(objects, "Gateway", "cross-network")["spec"]["servers"][0]["tls"]["mode"] = "SIMPLE"


def on_condition(objects: Objects) -> None:
    rule = named(objects, "AuthorizationPolicy", "web")["spec"]["rules"][0]
    rule["when"] = [{"key": "source.principal", "notValues": ["*/ns/gateway/sa/gateway"]}]


def test_a_condition_may_say_who_calls() -> None:
    objects = istio()
    rule = named(objects, "AuthorizationPolicy", "cache")["spec"]["rules"][0]
    (source,) = rule.pop("from")
    rule["when"] = [
        {"key": "source.principal", "values": source["source"]["principals"]},
        {"key": "request.headers[x-any]", "notValues": ["none"]},
    ]
    assert problems(objects) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (on_condition, "gateway of gateway may call web:8080: it may not"),
        (permissive, "mutual TLS of web:8080 is STRICT: it is PERMISSIVE"),
        (permissive_port, "mutual TLS of web:8080 is STRICT: it is PERMISSIVE"),
        (other_port, "mutual TLS of web:9090 is STRICT: it is DISABLE"),
        (nothing_denied, "an AuthorizationPolicy in web that allows nothing: there is none"),
        (any_of_gateway, "default of gateway may not call web:8080: it may"),
        (nothing_through_a_gateway, "an AuthorizationPolicy in web that allows nothing: there is none"),
        (metrics_for_everybody, "web of web may not call web:9113: it may"),
        (all_but_its_own, "web of web may not call web:9090: it may"),
        (everybody, "somebody without an identity may not call cache:6379: it may"),
        (denied_as_well, "gateway of gateway may call web:8080: it may not"),
        (terminates, "a Gateway server with AUTO_PASSTHROUGH for web: there is none"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[Objects], None], said: str) -> None:
    objects = istio()
    change(objects)
    assert said in problems(objects)


LINKERD = """
apiVersion: v1
kind: Namespace
metadata: {name: web, annotations: {config.linkerd.io/default-inbound-policy: deny}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: web, labels: {mirror.linkerd.io/exported: "true"}}
"""
PAIR = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {{name: {workload}, namespace: web}}
spec: {{podSelector: {{matchLabels: {{app.kubernetes.io/name: {workload}}}}}, port: {port}}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {{name: {caller}, namespace: web}}
spec: {{identityRefs: [{{kind: ServiceAccount, namespace: {namespace}, name: {caller}}}]}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {{name: {workload}, namespace: web}}
spec:
  targetRef: {{group: policy.linkerd.io, kind: Server, name: {workload}}}
  requiredAuthenticationRefs: [{{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: {caller}}}]
"""


def linkerd() -> Objects:
    pairs = (("web", 8080, "gateway", "gateway"), ("cache", 6379, "web", "web"))
    texts = [LINKERD, *(PAIR.format(workload=w, port=p, namespace=n, caller=c) for w, p, n, c in pairs)]
    return list(yaml.safe_load_all("---".join(texts)))


def test_linkerd_by_the_same_pairs() -> None:
    assert problems(linkerd(), "linkerd") == []


def test_linkerd_open_by_default_is_said() -> None:
    objects = linkerd()
    del objects[0]["metadata"]["annotations"]
    assert any("default-inbound-policy: deny" in each for each in problems(objects, "linkerd"))


def test_a_server_that_asks_for_no_identity_is_open() -> None:
    objects = linkerd()
    named(objects, "AuthorizationPolicy", "cache")["spec"]["requiredAuthenticationRefs"] = []
    assert "somebody without an identity may not call cache:6379: it may" in problems(objects, "linkerd")


def test_a_server_for_metrics_is_one_of_the_ports() -> None:
    objects = linkerd()
    server = copy.deepcopy(named(objects, "Server", "web"))
    server["metadata"]["name"], server["spec"]["port"] = "metrics", 9113
    server["spec"]["accessPolicy"] = "all-unauthenticated"
    assert problems([*objects, server], "linkerd") == ["web of web may not call web:9113: it may"]


@pytest.mark.parametrize(
    ("server", "client", "may"),
    [
        (
            {"name": "cache"},
            {"unauthenticated": True},
            ["somebody without an identity", "gateway of gateway"],
        ),
        ({"name": "cache"}, {"meshTLS": {"identities": ["*"]}}, ["gateway of gateway"]),
        (
            {"selector": {"matchLabels": {}}},
            {"meshTLS": {"serviceAccounts": [{"name": "gateway", "namespace": "gateway"}]}},
            ["gateway of gateway"],
        ),
        ({"name": "cache"}, {"meshTLS": {"serviceAccounts": [{"name": "web"}]}}, []),
        ({"name": "another"}, {"unauthenticated": True}, []),
    ],
)
def test_an_authorization_of_the_older_kind_counts(
    server: dict[str, Any], client: dict[str, Any], may: list[str]
) -> None:
    metadata = {"name": "older", "namespace": "web"}
    older = {"apiVersion": "policy.linkerd.io/v1beta1", "kind": "ServerAuthorization", "metadata": metadata}
    said = problems([*linkerd(), {**older, "spec": {"server": server, "client": client}}], "linkerd")
    for who in may:
        assert f"{who} may not call cache:6379: it may" in said
    assert bool(said) is bool(may)


def test_a_service_that_is_not_to_be_exported_is_not() -> None:
    objects = linkerd()
    named(objects, "Service", "web")["metadata"]["labels"]["mirror.linkerd.io/exported"] = "false"
    assert any("Service web exported" in each for each in problems(objects, "linkerd"))


def test_a_member_of_a_federated_service_is_exported() -> None:
    objects = linkerd()
    named(objects, "Service", "web")["metadata"]["labels"] = {"mirror.linkerd.io/federated": "member"}
    assert problems(objects, "linkerd") == []


@pytest.mark.parametrize("version", ["policy.linkerd.io/v1beta3", "gateway.networking.k8s.io/v1"])
def test_who_may_use_a_route_of_a_server_may_call(version: str) -> None:
    objects = linkerd()
    parent = {"group": "policy.linkerd.io", "kind": "Server", "name": "web"}
    metadata = {"name": "all", "namespace": "web"}
    route = {
        "apiVersion": version,
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": {"parentRefs": [parent]},
    }
    policy = named(objects, "AuthorizationPolicy", "web")
    policy["spec"]["targetRef"] = {"group": version.partition("/")[0], "kind": "HTTPRoute", "name": "all"}
    assert "gateway of gateway may call web:8080: it may not" in problems(objects, "linkerd")
    assert problems([*objects, route], "linkerd") == []
    policy["spec"]["requiredAuthenticationRefs"] = []
    said = problems([*objects, route], "linkerd")
    assert "somebody without an identity may not call web:8080: it may" in said


def test_identities_of_a_whole_namespace_are_more_than_one_account() -> None:
    objects = linkerd()
    refs = named(objects, "MeshTLSAuthentication", "web")["spec"]["identityRefs"]
    refs[:] = [{"kind": "Namespace", "name": "web"}]
    assert "cache of web may not call cache:6379: it may" in problems(objects, "linkerd")


def test_an_authentication_of_another_namespace_is_named_with_it() -> None:
    objects = linkerd()
    named(objects, "MeshTLSAuthentication", "gateway")["metadata"]["namespace"] = "gateway"
    assert "gateway of gateway may call web:8080: it may not" in problems(objects, "linkerd")
    named(objects, "AuthorizationPolicy", "web")["spec"]["requiredAuthenticationRefs"][0]["namespace"] = (
        "gateway"
    )
    assert problems(objects, "linkerd") == []
