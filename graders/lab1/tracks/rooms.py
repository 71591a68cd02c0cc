"""Rooms of the grader's making: nodes, places that are taken, and priority classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graders.clusters.provider import NodeSpec
from graders.clusters.readiness import node_manifest
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab1.api import EXIT_CODE, GPU, LINGERS, container, phase, pods_path
from graders.lab1.jobscontext import JobsContext
from graders.polling import NotYet

POOL = "kubeproof.dev/pool"
"""The label of a track's own nodes: no track takes another's places."""


@dataclass(frozen=True)
class PoolNode:
    """A node of a pool; `locked` is a way to keep pods off it."""

    zone: str
    gpus: int
    locked: Mapping[str, Any] = field(default_factory=dict)


def create_pool(context: JobsContext, *nodes: PoolNode) -> list[str]:
    """Nodes that only this track's pods ask for; gives their names, once each is ready."""
    pool = context.namespace()
    names = []
    for number, node in enumerate(nodes, start=1):
        name = f"{pool}-node-{number}"
        manifest = node_manifest(NodeSpec(name, node.zone, {GPU: node.gpus}))
        manifest["metadata"]["labels"][POOL] = pool
        manifest["spec"] = dict(node.locked)
        context.kube.create(_node_path(), manifest)
        names.append(name)

    def ready() -> None:
        for name in names:
            found = context.kube.get(_node_path(name))
            states = {c["type"]: c["status"] for c in found["status"].get("conditions") or ()}
            taints = [taint["key"] for taint in found["spec"].get("taints") or ()]
            if states.get("Ready") != "True" or "node.kubernetes.io/not-ready" in taints:
                raise NotYet(f"{name} is not ready yet")

    context.wait("the grader's own nodes to be ready", ready, control=lambda: "its own nodes are not ready")
    return names


def create_blocker(context: JobsContext, node: str, gpus: int) -> None:
    """A pod of the grader's, in a namespace beside, that takes places of a node."""
    namespace = context.namespace("other")
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "blocker"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [gpu_container(gpus)],
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"operator": "Exists"}],
        },
    }
    context.kube.create(pods_path(namespace), body)

    def running() -> None:
        found = context.env.watches.objects("pods", namespace).get("blocker")
        if found is None or phase(found) != "Running":
            raise NotYet("it is not running yet")

    context.wait("the grader's own pod to take its place", running)


def delete_blocker(context: JobsContext) -> None:
    """Delete the blocker, which runs on until there is to be room."""
    context.annotate_pod(context.namespace("other"), "blocker", {LINGERS: "true"})
    context.delete_pod(context.namespace("other"), "blocker")


def make_room(context: JobsContext) -> None:
    """Let the blocker go if it is being deleted; if not it fails, and stays."""
    context.mark("room", namespace=context.namespace())
    context.annotate_pod(context.namespace("other"), "blocker", {LINGERS: None, EXIT_CODE: "1"})


def cordon(context: JobsContext, nodes: Iterable[str]) -> None:
    """Keep new pods off these nodes; what runs there goes on."""
    _close(context, "cordon", nodes, closed=True)


def uncordon(context: JobsContext, nodes: Iterable[str]) -> None:
    """Open the nodes again."""
    _close(context, "uncordon", nodes, closed=None)


def _close(context: JobsContext, mark: str, nodes: Iterable[str], *, closed: bool | None) -> None:
    names = list(nodes)
    context.mark(mark, nodes=names)
    for name in names:
        context.kube.patch(_node_path(name), {"spec": {"unschedulable": closed}})


def _node_path(name: str = "") -> str:
    return resource_path("v1", "nodes", name=name)


def gpu_container(gpus: int = 1) -> dict[str, Any]:
    """A training container that asks for GPUs, by its limits as is usual."""
    return {**container(), "resources": {"limits": {GPU: str(gpus)}}}


def create_class(context: JobsContext, name: str, value: int) -> str:
    """A PriorityClass of this track's own, once admission knows it; gives its whole name."""
    whole = f"{context.namespace()}-{name}"
    body = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": whole},
        "value": value,
        # Nobody else's pod makes way.
        "preemptionPolicy": "Never",
    }
    context.kube.create(resource_path("scheduling.k8s.io/v1", "priorityclasses"), body)
    trial = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial"},
        "spec": {"priorityClassName": whole, "containers": [container()]},
    }

    def known() -> None:
        try:
            context.kube.create(pods_path(context.namespace()), trial, dryRun="All")
        except ApiRefused as refused:
            raise NotYet(str(refused)) from refused

    context.wait(f"the priority class {whole}", known, control=lambda: "admission does not know it")
    return whole
