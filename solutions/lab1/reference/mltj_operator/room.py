"""Where pods fit: what each node has left, and whom it lets in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .quantities import parse_quantity

Object = Mapping[str, Any]


@dataclass
class _Node:
    labels: Mapping[str, str]
    taints: list[Mapping[str, str]]
    free: dict[str, Decimal]

    def accepts(self, spec: Mapping[str, Any], wanted: Mapping[str, Decimal]) -> bool:
        selector = spec.get("nodeSelector") or {}
        tolerations = spec.get("tolerations") or ()
        return (
            all(self.labels.get(key) == value for key, value in selector.items())
            and all(any(_tolerates(t, taint) for t in tolerations) for taint in self.taints)
            and all(self.free.get(name, Decimal(0)) >= n for name, n in wanted.items() if n)
        )

    def take(self, wanted: Mapping[str, Decimal]) -> None:
        for name, amount in wanted.items():
            self.free[name] = self.free.get(name, Decimal(0)) - amount


class Room:
    """The free places of a cluster; placing a pod uses one up."""

    def __init__(self, nodes: Iterable[Object], pods: Iterable[Object]) -> None:
        self._nodes = {raw["metadata"]["name"]: _node(raw) for raw in nodes if _open(raw)}
        promised = []
        for pod in pods:
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue
            node_name = pod["spec"].get("nodeName")
            if node_name in self._nodes:
                self._nodes[node_name].take(requests(pod["spec"]))
            elif not node_name and not pod["spec"].get("schedulingGates"):
                promised.append(pod)
        for pod in promised:
            self.place(pod)  # on its way to a node: its place is gone

    def place(self, pod: Object) -> bool:
        """Put a pod on the first node that takes it; says whether there is one."""
        wanted = requests(pod["spec"])
        for node in self._nodes.values():
            if node.accepts(pod["spec"], wanted):
                node.take(wanted)
                return True
        return False


def requests(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a pod takes from its node: all its containers together, or more while it initialises."""
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    for container in spec.get("containers") or ():
        for name, value in _asked(container):
            total[name] = total.get(name, Decimal(0)) + value
    for container in spec.get("initContainers") or ():
        for name, value in _asked(container):
            total[name] = max(total.get(name, Decimal(0)), value)
    return total


def _asked(container: Mapping[str, Any]) -> list[tuple[str, Decimal]]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return [(name, parse_quantity(value)) for name, value in asked.items()]


def _open(node: Object) -> bool:
    return not (node.get("spec") or {}).get("unschedulable")


def _node(raw: Object) -> _Node:
    taints = (raw.get("spec") or {}).get("taints") or ()
    allocatable = (raw.get("status") or {}).get("allocatable") or {}
    return _Node(
        labels=raw["metadata"].get("labels") or {},
        taints=[taint for taint in taints if taint.get("effect") != "PreferNoSchedule"],
        free={name: parse_quantity(value) for name, value in allocatable.items()},
    )


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    same_key = toleration.get("key") == taint.get("key")
    return same_key and toleration.get("value", "") == taint.get("value", "")
