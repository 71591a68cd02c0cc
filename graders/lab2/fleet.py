"""The four clusters: what they are asked for, and what is in them before the engine starts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.admission.engines import PolicyEngine, definitions_of
from graders.admission.kinds import PolicyKind
from graders.admission.latewatches import check_late_kinds
from graders.clusters.containment import forbid_escapes
from graders.clusters.definitions import install_kinds
from graders.clusters.provider import ClusterSpec, Preparation
from graders.gitops.manifests import refused
from graders.gitops.rights import ACCESS_FOLDER
from graders.gitops.seam import EngineSetup
from graders.lab2.layout import POLICIES
from graders.lab2.names import DRIFTER, ENGINE, ENVIRONMENTS, HUB, INTRUDER, NAMESPACES
from graders.model import Capability
from graders.scenario.fleet import LiveCluster
from graders.scenario.spec import RunSettings
from graders.services.unsealer import DEFINITION

_CONFIG = Path(__file__).parent / "config"
AUDIT_POLICY = _CONFIG / "audit-policy.yaml"
_ADMINISTRATORS = ("system:masters",)

SPOKE_WATCHES: Mapping[str, str] = {
    "deployments": "/apis/apps/v1/deployments",
    "replicasets": "/apis/apps/v1/replicasets",
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "configmaps": "/api/v1/namespaces/web/configmaps",
    "serviceaccounts": "/api/v1/namespaces/web/serviceaccounts",
    "namespaces": "/api/v1/namespaces",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
    "priorityclasses": "/apis/scheduling.k8s.io/v1/priorityclasses",
}
"""What the grader's own watches follow there, by resource."""


def cluster_specs(
    settings: RunSettings, stages: Path, setup: EngineSetup, engines: Sequence[PolicyEngine]
) -> dict[str, ClusterSpec]:
    """The clusters by name, the hub first; the kinds of the engines are there from the beginning."""
    hub = ClusterSpec(
        HUB,
        nodes=(),
        needs=settings.needs - {Capability.SIMULATED_NODES},
        identities={setup.user: _ADMINISTRATORS},
        prepared=_kinds("hub", setup.definitions()),
        audit_policy=AUDIT_POLICY,
    )
    spoke = _kinds("spoke", [DEFINITION, *definitions_of(engines)])
    users = {ENGINE: (), INTRUDER: _ADMINISTRATORS, DRIFTER: _ADMINISTRATORS}
    users |= {engine.name: _ADMINISTRATORS for engine in engines}
    return {HUB: hub} | {
        name: ClusterSpec(
            name,
            nodes=settings.nodes,
            needs=settings.needs,
            identities=users,
            prepared=spoke,
            stages=stages,
            audit_policy=AUDIT_POLICY,
        )
        for name in ENVIRONMENTS
    }


def _kinds(where: str, definitions: Sequence[Mapping[str, Any]]) -> Preparation:
    digest = hashlib.sha256(json.dumps(definitions, sort_keys=True).encode()).hexdigest()
    return Preparation((f"lab2 {where}", digest), lambda kube: install_kinds(kube, definitions))


def furnish_spoke(
    live: LiveCluster, access: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind], root: Path
) -> None:
    """Bring the namespaces and the engine's rights; follow what is evidence, policies of these kinds too.

    `root` is where the rights are written. Where there are real nodes beside the simulated ones, nothing of
    the learner's gets onto them.

    Raises:
        BadSubmission: the rights are refused, or a kind of policies cannot be told from another.
    """
    check_late_kinds(kinds, SPOKE_WATCHES, POLICIES)
    if Capability.REAL_PODS in live.cluster.capabilities:
        forbid_escapes(live.kube, simulated=True)
    for namespace in NAMESPACES:
        live.kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    for item in access:
        answer = live.kube.apply(item)
        if not answer.ok:
            folder = f"{ACCESS_FOLDER}/{live.name}"
            raise refused(root, folder, item, "the API server", answer.message)
    served = {each.resource: each.path for each in kinds if not each.late}
    for resource, path in {**SPOKE_WATCHES, **served}.items():
        live.watches.follow(resource, path)


def furnish_hub(live: LiveCluster, setup: EngineSetup, spokes: Sequence[LiveCluster], root: Path) -> None:
    """Bring what the engine expects on the hub; follow what is evidence."""
    setup.furnish(live, spokes, root)
    for resource, path in setup.watches.items():
        live.watches.follow(resource, path)
