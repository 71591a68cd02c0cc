"""How a run behaves in somebody's cluster: it marks and notes what it makes, and touches nothing else.

Every write of the grader's goes past here, so no track can forget to. Cluster-wide objects get the label
`kubeproof.dev/run`; what is in a namespace of its own goes with that namespace.
"""

import copy
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graders.clusters.existing.journal import GuestJournal
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.kube.paths import Target, read_path, resource_path

RUN = "kubeproof.dev/run"
"""The label, on every object that a run makes outside of its namespaces, and on these."""

SIMULATED = "kubeproof.dev/simulated"
"""The annotation by which kwok knows its nodes, and the taint that keeps others' pods off them."""

_ASKING = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups whose objects are questions: nothing is stored."""

_UNWANTED = ("kubernetes.io/os", "kubernetes.io/arch")
"""Labels by which the cluster's own DaemonSets would come to a node that only seems to be one."""


class OutOfScopeWrite(Exception):
    """The grader was about to change what is not its own: a bug of ours, told before anything is sent."""


class OwnedScope:
    """One run in a cluster of somebody else's; safe to use from many threads."""

    def __init__(self, kube: Kube, journal: GuestJournal, run: str) -> None:
        self.run = run
        self.pod: Mapping[str, Any] = {
            "nodeSelector": {RUN: run},
            "tolerations": [{"key": SIMULATED, "operator": "Equal", "value": run, "effect": "NoSchedule"}],
        }
        self._kube = kube
        self._journal = journal
        self._over = threading.Event()

    def end(self) -> None:
        """From now on nothing is changed any more: what was made is being taken away."""
        self._over.set()

    def owns(self, namespace: str) -> bool:
        """Whether a namespace is of this run's making."""
        return self._journal.has(resource_path("v1", "namespaces", name=namespace))

    def made(self, item: Mapping[str, Any]) -> bool:
        """Whether an object that is in no namespace is of this run's making."""
        return run_of(item) == self.run

    def admit(self, method: str, path: str, query: Mapping[str, object], body: Any) -> Any:
        """See that a write concerns what is ours, and note down what it makes; gives what to send.

        Raises:
            InfraFault: the object is there already, and is somebody else's; or the run is over.
            OutOfScopeWrite: it concerns what is not ours.
        """
        target = read_path(path)
        if target is not None and ("dryRun" in query or target.group in _ASKING):
            return body
        if self._over.is_set():
            raise InfraFault(f"the run is over: {method} {path} is not sent any more")
        if target is None or (target.namespace and not self.owns(target.namespace)):
            raise OutOfScopeWrite(f"{method} {path}: this is not kubeproof's to change")
        if target.namespace:
            return body
        if method == "POST" and not target.name:
            return self._noted(replace(target, name=str(body["metadata"]["name"])), body)
        if _is_whole(body) and (self._journal.has(target.path) or self._free(target)):
            return self._noted(target, body)
        if self._journal.has(target.path):
            return body
        raise OutOfScopeWrite(f"{method} {path}: this is not kubeproof's to change")

    def _noted(self, target: Target, body: Mapping[str, Any]) -> dict[str, Any]:
        self._journal.note(target.path)
        return dressed(body, self.run, node=(target.group, target.plural) == ("", "nodes"))

    def _free(self, target: Target) -> bool:
        found = self._kube.find(target.path)
        if found is not None and run_of(found) != self.run:
            raise InfraFault(
                f"{target.plural} {target.name} is in the cluster already, and would be overwritten",
                fix="have nobody else install it meanwhile",
            )
        return True


def run_of(item: Mapping[str, Any]) -> str:
    """The run that made an object; empty where none did."""
    return str((item["metadata"].get("labels") or {}).get(RUN, ""))


def dressed(manifest: Mapping[str, Any], run: str, *, node: bool = False) -> dict[str, Any]:
    """The object with the marks of a run; a node with what keeps everybody else's pods off it."""
    item: dict[str, Any] = copy.deepcopy(dict(manifest))
    metadata = item.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), RUN: run}
    if not node:
        return item
    kept = {key: value for key, value in metadata["labels"].items() if key not in _UNWANTED}
    metadata["labels"] = {**kept, "node.kubernetes.io/exclude-from-external-load-balancers": "true"}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        SIMULATED: run,
        "cluster-autoscaler.kubernetes.io/scale-down-disabled": "true",
    }
    spec = item.setdefault("spec", {})
    taint = {"key": SIMULATED, "value": run, "effect": "NoSchedule"}
    spec["taints"] = [*(spec.get("taints") or ()), taint]
    return item


def _is_whole(body: Any) -> bool:
    """Whether this is an object to be applied, and not a change to one."""
    return isinstance(body, Mapping) and "kind" in body and "metadata" in body
