"""Simulated nodes in a kind cluster: kwok runs their pods, and neither sort of node gets the other's pods."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graders.clusters.components import STAGES, simulator
from graders.clusters.kind.config import REAL
from graders.clusters.provider import NodeSpec
from graders.clusters.readiness import node_manifest
from graders.kube.client import Kube
from graders.ownership import OwnedFolder
from graders.services import Service, ServiceSpec

_DAEMONS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
_NODES = "/api/v1/nodes"
_TAINT = {"key": REAL, "value": "true", "effect": "NoSchedule"}
_STRATEGIC = "application/strategic-merge-patch+json"


def keep_apart(kube: Kube) -> None:
    """Keep the daemons of real nodes off simulated ones, and everybody else's pods off real ones.

    What runs on the real nodes already stays; call it once everything of kind's own has its place.
    """
    for daemons in kube.get(_DAEMONS)["items"]:
        # Their pods are where they belong: OnDelete keeps them from being rolled out anew.
        change = {
            "updateStrategy": {"$retainKeys": ["type"], "type": "OnDelete"},
            "template": {"spec": {"nodeSelector": {REAL: "true"}}},
        }
        kube.patch(f"{_DAEMONS}/{daemons['metadata']['name']}", {"spec": change}, _STRATEGIC)
    for node in kube.get(_NODES, labelSelector=REAL)["items"]:
        others = [taint for taint in node["spec"].get("taints") or () if taint["key"] != REAL]
        kube.patch(f"{_NODES}/{node['metadata']['name']}", {"spec": {"taints": [*others, _TAINT]}})


def simulate(
    kube: Kube,
    nodes: Sequence[NodeSpec],
    program: tuple[Path, Path],
    folder: OwnedFolder,
    running: contextlib.ExitStack,
    stages: Path | None = None,
) -> None:
    """Create the nodes and run kwok (`program`: binary and kubeconfig) for them until `running` unwinds.

    `stages` says how they and their pods behave, where that is not as ever.
    """
    binary, kubeconfig = program
    with ThreadPoolExecutor(4) as pool:
        for created in [pool.submit(kube.create, _NODES, node_manifest(node)) for node in nodes]:
            created.result()
    spec = ServiceSpec(
        "kwok", simulator(binary, kubeconfig, stages=stages or STAGES), folder.path, folder.path / "kwok.log"
    )
    running.enter_context(Service(spec, folder)).start()
