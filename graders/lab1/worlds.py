"""Worlds: a cluster, the recorders that watch it, and the operator that works in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from graders.clusters.containment import forbid_escapes
from graders.clusters.kubeconfigs import token_kubeconfig
from graders.evidence.recorders import AuditRecorder, ControlRecorder, WatchRecorder
from graders.kube.client import Kube, kube_of
from graders.kube.paths import resource_path
from graders.lab1 import install
from graders.lab1.api import API_VERSION, PLURAL
from graders.lab1.collection import await_collector
from graders.lab1.fronts import Front, open_front
from graders.lab1.manifest import Lab1Manifest
from graders.lab1.namespaces import create_namespaces
from graders.lab1.operator import API, Launch, Operator, environment
from graders.lab1.samples import read_samples
from graders.lab1.world import QUIET_S, World
from graders.model import Capability, Cluster
from graders.sandbox.protocol import Limits, Mount, SandboxSpec, View
from graders.scenario.spec import Plan, Run
from graders.submissions.manifests import Manifest

_WATCHED = {"pods": "/api/v1/pods", "services": "/api/v1/services", "events": "/api/v1/events"}


@dataclass(frozen=True)
class Setting:
    """What all worlds of a run share. `root` is the submission, built; `scale` stretches every deadline."""

    run: Run
    manifests: Sequence[Manifest]
    root: Path
    scale: float
    deadline_s: float

    @property
    def wanted(self) -> Lab1Manifest:
        """The lab's part of submission.yaml."""
        wanted: Lab1Manifest = self.run.submission.manifest
        return wanted


@dataclass(frozen=True)
class Place:
    """Where a world is: its cluster, with a `name` of its own unless it is the first, and its namespaces."""

    cluster: Cluster
    audit: AuditRecorder
    namespaces: dict[str, str]
    name: str = ""


@contextlib.contextmanager
def open_world(setting: Setting, place: Place) -> Iterator[World]:
    """Install the submission in a cluster and watch it while the block runs; the operator is not started yet.

    Raises:
        BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
    """
    run = setting.run
    cluster, operator_user = place.cluster, install.operator_user(setting.wanted)
    kube = kube_of(cluster)
    folder = run.folder / (place.name or "first")
    folder.mkdir()
    seen = cluster.guest.owns if cluster.guest is not None else lambda _: True
    with (
        ControlRecorder(run.recording, kube, cluster.own_namespace) as control,
        WatchRecorder(run.recording, kube, _WATCHED, only=seen) as watches,
        open_front(kube, cluster, folder, run.recording, place.audit, operator_user) as front,
    ):
        with run.progress.task("installing manifests" + (f" for {place.name}" if place.name else "")):
            if Capability.REAL_PODS in cluster.capabilities:
                forbid_escapes(kube, simulated=Capability.SIMULATED_NODES in cluster.capabilities)
            # What a cluster says of the manifests is evidence once; every other says the same.
            witness = None if place.name else run.recording
            install.install(kube, setting.manifests, setting.wanted, witness, setting.deadline_s)
            watches.follow(PLURAL, resource_path(API_VERSION, PLURAL))
            if not place.name:
                install.record_rights(kube, run.recording, cluster.guest)
            create_namespaces(kube, place.namespaces.values(), setting.deadline_s)
        if cluster.kinds_known_late:
            with run.progress.task("waiting for the cluster's garbage collector to know jobs"):
                await_collector(kube, cluster.own_namespace)
        launch = _launch(setting, kube, front, folder)
        yield World(
            kube=kube,
            recording=run.recording,
            audit=place.audit,
            watches=watches,
            control=control,
            operator=Operator(launch, run.recording, f"{place.name}-operator" if place.name else "operator"),
            proxy=front.proxy,
            operator_user=operator_user,
            deadline_s=setting.deadline_s,
            namespaces=place.namespaces,
            quiet_s=QUIET_S * setting.scale,
            at=run.at,
            deployments=tuple(
                each.data
                for each in setting.manifests
                if (each.data["apiVersion"], each.kind) == ("apps/v1", "Deployment")
            ),
            samples=read_samples(setting.root),
            own_namespace=cluster.own_namespace,
            guest=cluster.guest,
        )


def sandbox_spec(
    plan: Plan, name: str, folder: Path, command: tuple[str, ...], limits: Limits
) -> SandboxSpec:
    """A command over the submission, with the learner runtime."""
    beneath = plan.runtime.beneath
    return SandboxSpec(
        submission=plan.submission.root,
        command=command,
        folder=folder,
        venv=plan.runtime.venv,
        python=plan.runtime.python,
        base=plan.runtime.base,
        name=name,
        limits=limits,
        mounts=(Mount(str(beneath), beneath),) if beneath else (),
    )


def _launch(setting: Setting, kube: Kube, front: Front, folder: Path) -> Launch:
    run, operator = setting.run, setting.wanted.operator
    token = install.operator_token(kube, setting.wanted)

    def spec(instance: str, scratch: Path) -> SandboxSpec:
        def files(view: View) -> dict[str, bytes]:
            server = f"https://{view.doors[API]}"
            kubeconfig = token_kubeconfig(server, front.authority, token, operator.namespace)
            return {"kubeconfig": kubeconfig.encode()}

        return replace(
            sandbox_spec(run, instance, scratch, operator.command, run.limits),
            submission=setting.root,
            doors=(API,),
            files=files,
            environment=lambda view: environment(view, instance, operator.namespace, operator.environment),
        )

    return Launch(
        sandbox=run.sandbox,
        sandbox_spec=spec,
        folder=folder,
        logs=run.recording.writer.folder / "logs",
        proxy=front.proxy,
        metrics_port=operator.metrics.port,
        metrics_path=operator.metrics.path,
    )
