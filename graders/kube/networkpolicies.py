"""NetworkPolicy, evaluated exactly: whether one pod may reach another, or an address, on a port; pure.

The semantics are those of the API reference of networking.k8s.io/v1: a pod that no policy selects for a
direction is open in it; one that is selected is open to what any of those policies allows. A connection has
to be allowed at both ends.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]

INGRESS, EGRESS = "Ingress", "Egress"
NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """An end of a connection: its namespace, labels, address, and the names of its ports by number."""

    namespace: str
    labels: Mapping[str, str]
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """An address that is no pod's."""

    address: str


@dataclass(frozen=True)
class Port:
    """Where a connection goes to."""

    number: int
    protocol: str = "TCP"


def allowed(policies: Sequence[Policy], source: Pod, target: Pod | Outside, port: Port) -> bool:
    """Whether a connection from `source` to `target` gets through."""
    if not _direction(policies, EGRESS, source, target, port):
        return False
    return not isinstance(target, Pod) or _direction(policies, INGRESS, target, source, port)


def selecting(policies: Iterable[Policy], pod: Pod, direction: str) -> list[Policy]:
    """The policies that bind a pod in a direction."""
    return [
        each
        for each in policies
        if each["metadata"].get("namespace", "default") == pod.namespace
        and direction in _types(each)
        and matches(each["spec"].get("podSelector"), pod.labels)
    ]


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    chosen = selector or {}
    if any(labels.get(key) != value for key, value in (chosen.get("matchLabels") or {}).items()):
        return False
    return all(_meets(each, labels) for each in chosen.get("matchExpressions") or ())


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    return (key in labels) is (operator == "Exists")


def _types(policy: Policy) -> Sequence[str]:
    spec = policy["spec"]
    given: Sequence[str] | None = spec.get("policyTypes")
    return given if given else (INGRESS, EGRESS) if spec.get("egress") else (INGRESS,)


def _direction(
    policies: Sequence[Policy], direction: str, pod: Pod, other: Pod | Outside, port: Port
) -> bool:
    binding = selecting(policies, pod, direction)
    if not binding:
        return True
    # The port of a connection is the target's, at both ends.
    named = pod.ports if direction == INGRESS else other.ports if isinstance(other, Pod) else {}
    key, peers = ("ingress", "from") if direction == INGRESS else ("egress", "to")
    return any(
        _peer_matches(rule.get(peers), other, policy["metadata"].get("namespace", "default"))
        and _port_matches(rule.get("ports"), port, named)
        for policy in binding
        for rule in policy["spec"].get(key) or ()
    )


def _peer_matches(peers: Sequence[Mapping[str, Any]] | None, other: Pod | Outside, namespace: str) -> bool:
    if not peers:
        return True
    return any(_one_peer_matches(each, other, namespace) for each in peers)


def _one_peer_matches(peer: Mapping[str, Any], other: Pod | Outside, namespace: str) -> bool:
    if "ipBlock" in peer and peer["ipBlock"] is not None:
        return _in_block(peer["ipBlock"], other.address)
    if not isinstance(other, Pod):
        return False
    if peer.get("namespaceSelector") is None:
        in_namespace = other.namespace == namespace
    else:
        labels = {NAME_LABEL: other.namespace, **other.namespace_labels}
        in_namespace = matches(peer["namespaceSelector"], labels)
    return in_namespace and matches(peer.get("podSelector"), other.labels)


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    try:
        at = ipaddress.ip_address(address)
        if at not in ipaddress.ip_network(block["cidr"], strict=False):
            return False
        return not any(at in ipaddress.ip_network(each, strict=False) for each in block.get("except") or ())
    except ValueError:
        return False


def _port_matches(ports: Sequence[Mapping[str, Any]] | None, port: Port, named: Mapping[str, int]) -> bool:
    if not ports:
        return True
    return any(_one_port_matches(each, port, named) for each in ports)


def _one_port_matches(written: Mapping[str, Any], port: Port, named: Mapping[str, int]) -> bool:
    if written.get("protocol", "TCP") != port.protocol:
        return False
    number = written.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        return named.get(number) == port.number
    last = written.get("endPort")
    return bool(number == port.number if last is None else number <= port.number <= last)
