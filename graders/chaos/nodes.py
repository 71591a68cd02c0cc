"""What Litmus does to a node, drain and taint, as the learner's ServiceAccount; both are taken back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graders.chaos.asking import asked
from graders.chaos.journal import ActionFailed, RunJournal
from graders.chaos.pauses import Pauses
from graders.chaos.selections import Pod
from graders.chaos.steps import DrainNode, TaintNode
from graders.kube.client import MERGE_PATCH, ApiRefused, Kube
from graders.kube.paths import resource_path

_PODS = resource_path("v1", "pods")
_EVICTED_WITHIN_S = 20.0
_AGAIN_AFTER_S = 0.4

Taints = list[dict[str, str]]


@dataclass(frozen=True)
class NodeFaults:
    """Drains and taints nodes; `dry` only looks at them."""

    kube: Kube
    journal: RunJournal
    pauses: Pauses
    dry: bool = False

    def do(self, step: DrainNode | TaintNode, due: float = math.inf) -> None:
        """Do a step, hold it, and take it back; raises as `Injector.do`."""
        if isinstance(step, DrainNode):
            self._drain(step, due)
        else:
            self._taint(step, due)

    def _drain(self, step: DrainNode, due: float) -> None:
        provider = {"kind": step.name, "arguments": {"node": step.node}}
        cordoned = False
        try:
            with self.journal.action(step.name, provider) as output:
                node = self._node(step)
                if not self.dry and not node["spec"].get("unschedulable"):
                    self._patch(step, {"spec": {"unschedulable": True}})
                    cordoned = True
                    self.pauses.wrote()
                output.append(step.node)
                for pod in self._to_evict(step):
                    if not self.dry:
                        self._evict(step, pod, due)
                    output.append(str(pod["metadata"]["name"]))
            if not self.dry:
                self.pauses.wait(step.duration_s, due)
        finally:
            if cordoned:
                with self.journal.rollback(f"{step.name}: uncordon", provider) as output:
                    self._patch(step, {"spec": {"unschedulable": None}})
                    output.append(step.node)

    def _to_evict(self, step: DrainNode) -> list[Pod]:
        """The pods of the node that a drain evicts: not those of DaemonSets, and none that has ended."""
        query = {"fieldSelector": f"spec.nodeName={step.node}"}
        pods: list[Pod] = asked(lambda: self.kube.get(_PODS, **query)["items"], step.where)
        return [
            pod
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
            and not any(
                each.get("kind") in ("DaemonSet", "Node")
                for each in pod["metadata"].get("ownerReferences") or ()
            )
        ]

    def _evict(self, step: DrainNode, pod: Pod, due: float) -> None:
        """Evict a pod, again as long as a budget does not allow it.

        Raises:
            ActionFailed: it never does.
        """
        name, namespace = str(pod["metadata"]["name"]), str(pod["metadata"]["namespace"])
        path = resource_path("v1", "pods", namespace=namespace, name=name, subresource="eviction")
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        for _ in range(math.ceil(_EVICTED_WITHIN_S / _AGAIN_AFTER_S)):
            answer = self.kube.request("POST", path, body=body)
            if answer.ok or answer.code == 404:
                return
            if answer.code != 429:
                break
            self.pauses.wait(_AGAIN_AFTER_S, due)
        raise ActionFailed(f"{step.where}: pod {name} was not evicted: {answer.code} {answer.message}")

    def _taint(self, step: TaintNode, due: float) -> None:
        taints = [{"key": each.key, "value": each.value, "effect": each.effect} for each in step.taints]
        mine = {(each.key, each.effect) for each in step.taints}
        provider = {"kind": step.name, "arguments": {"node": step.node, "taints": taints}}
        tainted = False

        def added(there: Taints) -> Taints:
            for each in there:
                if (each["key"], each["effect"]) in mine:
                    raise ActionFailed(f"{step.where}: node {step.node} has a taint {each['key']} already")
            return [*there, *taints]

        def removed(there: Taints) -> Taints:
            return [each for each in there if (each["key"], each["effect"]) not in mine]

        try:
            with self.journal.action(step.name, provider) as output:
                if self.dry:
                    added(self._node(step)["spec"].get("taints") or [])
                else:
                    self._retaint(step, added)
                    tainted = True
                    self.pauses.wrote()
                output.append(f"{step.node} {', '.join(map(str, step.taints))}")
            if not self.dry:
                self.pauses.wait(step.duration_s, due)
        finally:
            if tainted:
                with self.journal.rollback(f"{step.name}: untaint", provider) as output:
                    self._retaint(step, removed)
                    output.append(step.node)

    def _retaint(self, step: TaintNode, change: Callable[[Taints], Taints]) -> None:
        """Change the taints of a node, which are one list: what others write meanwhile must not be lost."""
        while True:
            node = self._node(step)
            version = {"resourceVersion": node["metadata"]["resourceVersion"]}
            taints = change(node["spec"].get("taints") or [])
            if self._patch(step, {"metadata": version, "spec": {"taints": taints or None}}):
                return

    def _node(self, step: DrainNode | TaintNode) -> Mapping[str, Any]:
        """The node.

        Raises:
            ActionFailed: there is none of that name.
        """
        path = resource_path("v1", "nodes", name=step.node)
        found: Mapping[str, Any] | None = asked(lambda: self.kube.find(path), step.where)
        if found is None:
            raise ActionFailed(
                f"{step.where}: there is no node {step.node}\n  fix: name one that `kubectl get nodes` shows"
            )
        return found

    def _patch(self, step: DrainNode | TaintNode, body: dict[str, Any]) -> bool:
        """Patch the node; whether it was still the one that was read."""
        path = resource_path("v1", "nodes", name=step.node)

        def patch() -> bool:
            answer = self.kube.request("PATCH", path, body=body, content_type=MERGE_PATCH)
            if not answer.ok and answer.code != 409:
                raise ApiRefused("PATCH", path, answer)
            return answer.ok

        return asked(patch, step.where)
