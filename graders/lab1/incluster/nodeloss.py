"""A node that goes, and what an administrator then does: the end of the run on real nodes."""

from collections.abc import Mapping
from typing import Any

from graders.kube.paths import resource_path
from graders.lab1.incluster.context import RealPodsContext
from graders.lab1.incluster.deployment import operators
from graders.lab1.incluster.waits import wait_available, wait_running
from graders.polling import NotYet

OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
"""What an administrator puts on a node that is known to be dead, so that its pods may be had elsewhere."""

_NOTICED_WITHIN_S = 150.0
_CLEARED_WITHIN_S = 150.0


def lose_a_node(context: RealPodsContext, job: str, count: int) -> None:
    """Cut the power of a node that has pods of `job`, and wait until `count` of them run elsewhere.

    That it is gone has to be noticed, and then it is taken out of service as an administrator would do.

    Raises:
        Missed: the job does not get its pods back. InfraFault: the cluster does not do its part.
    """
    node = _victim(context, job)
    lost = {
        name: pod["metadata"]["uid"]
        for name, pod in context.pods(job).items()
        if pod["spec"].get("nodeName") == node
    }
    context.mark("disturbed", how="node-lost", node=node, pods=sorted(lost))
    context.env.nodes.fail(node)
    context.harness(f"to notice that {node} is gone", lambda: _noticed(context, node), _NOTICED_WITHIN_S)
    _take_out_of_service(context, node)
    uids = set(lost.values())
    context.harness(f"to remove the pods of {node}", lambda: _cleared(context, uids), _CLEARED_WITHIN_S)
    wait_running(context, job, count, uids)
    context.mark("recovered", how="node-lost", node=node)
    for each in operators(context.env.manifests, context.env.wanted):
        wait_available(context, each["metadata"]["name"])


def _victim(context: RealPodsContext, job: str) -> str:
    """A worker that has a pod of the job; if there is a choice, not the one where the leader is."""
    on = sorted({str(pod["spec"].get("nodeName")) for pod in context.pods(job).values()})
    if not on:
        context.miss(f"the pods of {job} to stay", "pods: none")
    leading = _leaders_node(context)
    return next((node for node in on if node != leading), on[0])


def _leaders_node(context: RealPodsContext) -> str:
    """Where the holder of a lease in the operator's namespace runs; empty where nobody can tell."""
    namespace = context.env.wanted.operator.namespace
    leases = context.kube.get(resource_path("coordination.k8s.io/v1", "leases", namespace=namespace))
    holders = " ".join(str(each["spec"].get("holderIdentity") or "") for each in leases["items"])
    for name, pod in context.operator_pods().items():
        if name in holders:
            return str(pod["spec"].get("nodeName") or "")
    return ""


def _noticed(context: RealPodsContext, node: str) -> None:
    found = context.env.watches.objects("nodes", "").get(node) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    ready = next((c.get("status") for c in conditions if c.get("type") == "Ready"), "True")
    if ready == "True":
        raise NotYet("it is still taken to be Ready")


def _take_out_of_service(context: RealPodsContext, node: str) -> None:
    path = resource_path("v1", "nodes", name=node)

    def tainted() -> None:
        now: Mapping[str, Any] = context.kube.get(path)
        taints = [*(now["spec"].get("taints") or ()), OUT_OF_SERVICE]
        version = now["metadata"]["resourceVersion"]
        answer = context.kube.request(
            "PATCH",
            path,
            body={"metadata": {"resourceVersion": version}, "spec": {"taints": taints}},
            content_type="application/merge-patch+json",
        )
        if not answer.ok:
            raise NotYet(answer.message)

    context.harness(f"to take {node} out of service", tainted, 30.0)
    context.mark("out-of-service", node=node)


def _cleared(context: RealPodsContext, uids: set[str]) -> None:
    there = context.env.watches.objects("pods", context.namespace)
    left = {name: pod for name, pod in there.items() if pod["metadata"]["uid"] in uids}
    for name, pod in left.items():
        if finalizers := pod["metadata"].get("finalizers"):
            context.miss(f"the lost pod {name} to go", f"finalizers hold it: {', '.join(finalizers)}")
    if left:
        raise NotYet(f"still there: {', '.join(sorted(left))}")
