"""NetworkPolicy is evaluated as its reference says; each case is one sentence of it."""

from __future__ import annotations

from typing import Any

import pytest

from graders.kube.networkpolicies import Outside, Pod, Port, allowed

WEB = Pod("web", {"app": "web"}, "10.0.0.1", {"http": 8080})
CACHE = Pod("web", {"app": "cache"}, "10.0.0.2")
GATEWAY = Pod("gateway", {"app": "gateway"}, "10.0.0.3")
HTTP = Port(8080)


def policy(name: str = "p", selector: Any = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "web"}, "spec": {"podSelector": selector or {}, **spec}}


def from_(*peers: Any, ports: Any = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"from": list(peers)} if peers else {}
    return rule | ({"ports": ports} if ports else {})


GATEWAY_NS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
GATEWAY_POD = {"podSelector": {"matchLabels": {"app": "gateway"}}}


def test_without_a_policy_everything_is_open() -> None:
    assert allowed([], GATEWAY, WEB, HTTP)
    assert allowed([], WEB, Outside("203.0.113.7"), Port(443))


def test_a_policy_without_rules_closes_ingress_alone_unless_it_says_egress() -> None:
    closed = [policy()]
    assert not allowed(closed, GATEWAY, WEB, HTTP)
    assert allowed(closed, WEB, Outside("203.0.113.7"), Port(443))
    both = [policy(policyTypes=["Ingress", "Egress"])]
    assert not allowed(both, WEB, Outside("203.0.113.7"), Port(443))


def test_a_policy_of_another_namespace_binds_nobody_here() -> None:
    other = policy()
    other["metadata"]["namespace"] = "gateway"
    assert allowed([other], CACHE, WEB, HTTP)
    assert not allowed([other], WEB, GATEWAY, HTTP)


def test_one_dash_means_both_selectors_and_two_dashes_either() -> None:
    one = [policy(ingress=[from_({**GATEWAY_NS, **GATEWAY_POD})])]
    two = [policy(ingress=[from_(GATEWAY_NS, GATEWAY_POD)])]
    unlabelled, stranger = Pod("gateway", {}), Pod("web", {"app": "gateway"})
    assert allowed(one, GATEWAY, WEB, HTTP)
    assert not allowed(one, unlabelled, WEB, HTTP)
    assert not allowed(one, stranger, WEB, HTTP)
    assert allowed(two, unlabelled, WEB, HTTP)
    assert allowed(two, stranger, WEB, HTTP)


def test_a_pod_selector_alone_is_about_the_policys_own_namespace() -> None:
    policies = [policy(ingress=[from_(GATEWAY_POD)])]
    assert not allowed(policies, GATEWAY, WEB, HTTP)
    assert allowed(policies, Pod("web", {"app": "gateway"}), WEB, HTTP)


def test_an_empty_namespace_selector_is_every_namespace() -> None:
    assert allowed([policy(ingress=[from_({"namespaceSelector": {}})])], GATEWAY, WEB, HTTP)


def test_an_empty_rule_lets_everybody_in_and_an_empty_list_nobody() -> None:
    assert allowed([policy(ingress=[{}])], GATEWAY, WEB, HTTP)
    assert not allowed([policy(ingress=[])], GATEWAY, WEB, HTTP)


def test_policies_add_up() -> None:
    policies = [policy("nothing"), policy("some", ingress=[from_({**GATEWAY_NS, **GATEWAY_POD})])]
    assert allowed(policies, GATEWAY, WEB, HTTP)
    assert not allowed(policies, CACHE, WEB, HTTP)


def test_both_ends_have_to_allow_it() -> None:
    egress = policy("out", {"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=[])
    assert not allowed([egress], WEB, CACHE, Port(6379))
    assert allowed([egress], CACHE, WEB, HTTP)


@pytest.mark.parametrize(
    ("ports", "number", "protocol", "through"),
    [
        ([{"port": 8080}], 8080, "TCP", True),
        ([{"port": 8080}], 8080, "UDP", False),
        ([{"port": 8080}], 9090, "TCP", False),
        ([{"port": "http"}], 8080, "TCP", True),
        ([{"port": "other"}], 8080, "TCP", False),
        ([{"port": 8000, "endPort": 8100}], 8080, "TCP", True),
        ([{"port": 8000, "endPort": 8079}], 8080, "TCP", False),
        ([{"protocol": "UDP"}], 8080, "TCP", False),
        ([{"protocol": "TCP"}], 9, "TCP", True),
        (None, 9, "UDP", True),
    ],
)
def test_ports(ports: Any, number: int, protocol: str, through: bool) -> None:
    policies = [policy(ingress=[from_(ports=ports)])]
    assert allowed(policies, GATEWAY, WEB, Port(number, protocol)) is through


@pytest.mark.parametrize(
    ("block", "through"),
    [
        ({"cidr": "0.0.0.0/0"}, True),
        ({"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}, False),
        ({"cidr": "198.51.100.0/24"}, False),
        ({"cidr": "not an address"}, False),
        ({"cidr": "::/0"}, False),
    ],
)
def test_blocks_of_addresses(block: Any, through: bool) -> None:
    policies = [policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}])]
    assert allowed(policies, WEB, Outside("203.0.113.7"), Port(443)) is through


@pytest.mark.parametrize(
    ("expression", "through"),
    [
        ({"key": "app", "operator": "In", "values": ["gateway"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["gateway"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "tier", "operator": "Exists"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_expressions(expression: Any, through: bool) -> None:
    peer = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [expression]}}
    assert allowed([policy(ingress=[from_(peer)])], GATEWAY, WEB, HTTP) is through
