"""Environments: a cluster, the recorders that watch it, and the operator that works in it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from graders.clusters.containment import forbid_escapes
from graders.clusters.kubeconfigs import token_kubeconfig
from graders.clusters.provider import ClusterSpec
from graders.evidence.health import Health
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.lab1 import install
from graders.lab1.api import API_VERSION, GROUP, PLURAL
from graders.lab1.collection import await_collector
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.manifest import Lab1Manifest
from graders.lab1.preparing import Prepared
from graders.lab1.requirements import requirements
from graders.lab1.samples import read_samples
from graders.model import Capability
from graders.sandbox.protocol import SandboxSpec, View
from graders.scenario.apiaccess import ApiAccess, open_api_access
from graders.scenario.environment import QUIET_S
from graders.scenario.fleet import LiveCluster
from graders.scenario.learner import sandbox_spec
from graders.scenario.learnerprocess import API, Launch, LearnerProcess, environment
from graders.scenario.namespaces import create_namespaces
from graders.scenario.spec import Run
from graders.submissions.manifests import Manifest


def cluster_spec(run: Run, manifests: Sequence[Manifest], name: str) -> ClusterSpec:
    """A cluster of the lab's, by that name."""
    wanted: Lab1Manifest = run.submission.manifest
    return ClusterSpec(
        name=name,
        nodes=run.settings.nodes,
        before_controllers=lambda kube: install.apply_early(kube, manifests),
        needs=run.settings.needs,
        requirements=requirements(manifests, wanted),
    )


_WATCHED = {"pods": "/api/v1/pods", "services": "/api/v1/services", "events": "/api/v1/events"}


@dataclass(frozen=True)
class CalibratedRun:
    """What all worlds of a run share; `scale` stretches every deadline."""

    run: Run
    ready: Prepared
    scale: float
    deadline_s: float


@dataclass(frozen=True)
class ClusterContext:
    """Where tracks act: their cluster, with a `name` unless it is the first, and its namespaces."""

    live: LiveCluster
    namespaces: dict[str, str]
    name: str = ""


@contextlib.contextmanager
def open_environment(setting: CalibratedRun, place: ClusterContext) -> Iterator[OperatorEnvironment]:
    """Install the submission in a cluster and watch it while the block runs; the operator is not started yet.

    Raises:
        BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
    """
    run, ready = setting.run, setting.ready
    live, user = place.live, install.operator_user(ready.wanted)
    cluster, kube, watches = live.cluster, live.kube, live.watches
    folder = run.session.folder / (place.name or "first")
    folder.mkdir()
    for resource, path in _WATCHED.items():
        watches.follow(resource, path)
    with open_api_access(live, folder, run.recording, user, frozenset({GROUP})) as access:
        with run.progress.task("installing manifests" + (f" for {place.name}" if place.name else "")):
            if Capability.REAL_PODS in cluster.capabilities:
                forbid_escapes(kube, simulated=Capability.SIMULATED_NODES in cluster.capabilities)
            # What a cluster says of the manifests is evidence once; every other says the same.
            recorded = None if place.name else run.recording
            install.install(kube, ready.manifests, ready.wanted, recorded, setting.deadline_s, live.name)
            watches.follow(PLURAL, resource_path(API_VERSION, PLURAL))
            if not place.name:
                install.record_rights(kube, run.recording, cluster.guest, live.name)
            create_namespaces(kube, place.namespaces.values(), setting.deadline_s)
        if cluster.kinds_known_late:
            with run.progress.task("waiting for the cluster's garbage collector to know jobs"):
                await_collector(kube, cluster.own_namespace)
        name = f"{place.name}-operator" if place.name else "operator"
        launch = _launch(setting, kube, access, folder)
        yield OperatorEnvironment(
            kube=kube,
            recording=run.recording,
            audit=live.audit,
            watches=watches,
            health=Health(run.session.harness, live.health),
            cluster=live.name,
            processes=(LearnerProcess(launch, run.recording, name),),
            proxy=access.proxy,
            user=user,
            deadline_s=setting.deadline_s,
            namespaces=place.namespaces,
            quiet_s=QUIET_S * setting.scale,
            at=run.options.get("at"),
            deployments=tuple(
                each.data
                for each in ready.manifests
                if (each.data["apiVersion"], each.kind) == ("apps/v1", "Deployment")
            ),
            samples=read_samples(ready.root),
            own_namespace=cluster.own_namespace,
            guest=cluster.guest,
        )


def _launch(setting: CalibratedRun, kube: Kube, access: ApiAccess, folder: Path) -> Launch:
    run, ready = setting.run, setting.ready
    operator, limits = ready.wanted.operator, run.settings.limits
    token = install.operator_token(kube, ready.wanted)

    def spec(instance: str, scratch: Path) -> SandboxSpec:
        def files(view: View) -> dict[str, bytes]:
            server = f"https://{view.doors[API]}"
            kubeconfig = token_kubeconfig(server, access.authority, token, operator.namespace)
            return {"kubeconfig": kubeconfig.encode()}

        return replace(
            sandbox_spec(ready.root, ready.runtime, instance, scratch, operator.command, limits),
            doors=(API,),
            files=files,
            environment=lambda view: environment(view, instance, operator.namespace, operator.environment),
        )

    return Launch(
        sandbox=run.sandbox,
        sandbox_spec=spec,
        folder=folder,
        logs=run.recording.writer.folder / "logs",
        proxy=access.proxy,
        metrics_port=operator.metrics.port,
        metrics_path=operator.metrics.path,
    )
