"""One start-up of a kind cluster, step by step; what was started unwinds, finished or not."""

import contextlib
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from graders.clusters.components import AUDIT_POLICY
from graders.clusters.kind import readiness, traces
from graders.clusters.kind.audit import AuditTail
from graders.clusters.kind.command import Kind, KindFailed
from graders.clusters.kind.config import AUDIT_LOG, REAL, NodeLayout, kind_config
from graders.clusters.kind.containers import Containers
from graders.clusters.kind.identities import Identities, issue
from graders.clusters.kind.nodeloopback import loopback_listener
from graders.clusters.kind.nodes import KindNodes
from graders.clusters.kind.simulation import keep_apart, simulate
from graders.clusters.kind.stages import Stages, steps
from graders.clusters.kind.waiting import Waiting
from graders.clusters.provider import ClusterSpec
from graders.clusters.readiness import answers, nodes_ready
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.model import Capability, Cluster
from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.progress import Progress, Task

_ALWAYS = frozenset({Capability.API, Capability.CONTROLLERS, Capability.REAL_PODS, Capability.AUDIT_LOG})
_OWN_STEPS = 3
"""The cluster answers, its nodes are ready, everything runs."""


@dataclass(frozen=True)
class Parts:
    """What a cluster is made of; `kwok` is there for specs with simulated nodes."""

    containers: Containers
    binary: Path
    image: str
    kwok: Path | None
    old_cgroups: bool


class Starting:
    """Makes the cluster of `spec` in `folder`; what has to end is put onto `running`."""

    def __init__(
        self,
        spec: ClusterSpec,
        parts: Parts,
        kind: Kind,
        folder: OwnedFolder,
        running: contextlib.ExitStack,
    ) -> None:
        self._spec, self._parts, self._kind = spec, parts, kind
        self._folder, self._running = folder, running
        self._cluster = traces.new_name()
        self._kube: Kube

    def run(self, progress: Progress) -> Cluster:
        """Start everything and wait until it is ready.

        Raises:
            InfraFault: says what kind says, or what did not come.
        """
        done, real = steps(self._spec.workers), 1 + self._spec.workers
        title = f"starting cluster {self._spec.name} (kind, {real} real {'node' if real == 1 else 'nodes'})"
        with progress.task(title, total=done + _OWN_STEPS) as task:
            kinds = self._create(task, progress)
            nodes = tuple(node.name for node in self._parts.containers.nodes(self._cluster))
            identities = issue(
                self._parts.containers, nodes[0], kinds, self._folder.path, self._spec.identities
            )
            self._kube = Kube(identities.grader)
            waiting = Waiting(task, done)
            self._answers(waiting, nodes[0])
            self._becomes_ready(waiting, identities)
            version = str(self._kube.get("/version")["gitVersion"])
        return Cluster(
            name=self._spec.name,
            kubeconfig=identities.grader,
            version=version,
            capabilities=self._capabilities(),
            owned=True,
            provider="kind",
            serving=(identities.proxy.certificate, identities.proxy.key),
            identities=identities.users,
            loopback_listener=partial(loopback_listener, self._parts.containers, nodes[0]),
            real_nodes=KindNodes(
                self._kind.docker_host, self._cluster, nodes, self._kind, self._parts.containers, self._kube
            ),
        )

    def _create(self, task: Task, progress: Progress) -> Path:
        """Have kind make the containers and the control plane; gives its kubeconfig."""
        policy, audit = self._folder.path / "policy", self._folder.path / "audit"
        for folder in (policy, audit):
            folder.mkdir()
        shutil.copy(self._spec.audit_policy or AUDIT_POLICY, policy / AUDIT_POLICY.name)
        config = self._folder.path / "kind.json"
        wanted = NodeLayout(
            policy, audit, self._spec.workers, old_cgroups=self._parts.old_cgroups, durable=self._spec.durable
        )
        config.write_text(kind_config(wanted), "utf-8")
        self._follow(audit / AUDIT_LOG)
        traces.Trace(self._kind.docker_host, self._cluster).write(self._folder.path)
        self._running.callback(self._remove, progress)
        self._parts.containers.make_network(self._cluster)
        stages = Stages(task)
        try:
            return self._kind.create(self._cluster, config, self._parts.image, stages)
        except KindFailed as error:
            raise InfraFault(
                f"kind did not make the cluster (it was {stages.last or 'beginning'}):\n{stages.complaint}",
                fix="`kubeproof doctor` looks at the machine and its Docker engine",
            ) from error

    def _follow(self, log: Path) -> None:
        """Whoever takes the audit lines has had the last one when the cluster is gone."""
        tail = AuditTail(log, self._spec.on_audit or (lambda _: None))
        if self._spec.on_audit is not None:
            tail.start()
        self._running.callback(tail.stop)

    def _remove(self, progress: Progress) -> None:
        """A cluster that does not go is no reason to lose a grade: the next run tries again."""
        try:
            self._parts.containers.remove(self._cluster)
        except InfraFault as error:
            progress.say(f"cluster {self._cluster} is left in the Docker engine for now: {error.problem}")

    def _answers(self, waiting: Waiting, control_plane: str) -> None:
        waiting.until("the API server", lambda: answers(self._kube, "/readyz"))
        if not (self._folder.path / "audit" / AUDIT_LOG).stat().st_size:
            raise InfraFault(
                "the API server's audit log does not reach this machine",
                fix="the Docker engine has to see the folder that KUBEPROOF_STATE names under the same path: "
                "it must be on this machine, and kubeproof in no container",
            )
        prepared = self._spec.prepared
        before = [prepared.prepare] if prepared is not None else []
        if self._spec.before_controllers is not None:
            before.append(self._spec.before_controllers)
        for each in before:
            each(self._kube)
        if before:
            readiness.controllers_anew(self._parts.containers, control_plane)
        waiting.step()

    def _becomes_ready(self, waiting: Waiting, identities: Identities) -> None:
        kube, spec = self._kube, self._spec
        waiting.until("nodes", lambda: nodes_ready(kube, 1 + spec.workers, labelled=REAL))
        if spec.nodes:
            assert self._parts.kwok is not None
            waiting.until("kind's own pods", lambda: readiness.everything_placed(kube))
            waiting.until("pods to keep apart", lambda: keep_apart(kube))
            program = (self._parts.kwok, identities.simulator)
            simulate(kube, spec.nodes, program, self._folder, self._running, spec.stages)
            waiting.until("nodes", lambda: nodes_ready(kube, 1 + spec.workers + len(spec.nodes)))
        waiting.step()
        waiting.until("name service and storage", lambda: readiness.everything_runs(kube))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        waiting.until("controllers", lambda: _there(kube, account))
        readiness.plant_garbage(kube)
        waiting.until("the garbage collector", lambda: readiness.garbage_collected(kube))
        waiting.step()

    def _capabilities(self) -> frozenset[Capability]:
        more = set()
        if self._spec.nodes:
            more.add(Capability.SIMULATED_NODES)
        if readiness.enforces_policies(self._kube):
            more.add(Capability.NETWORK_POLICY)
        return _ALWAYS | more


def _there(kube: Kube, path: str) -> None:
    if kube.find(path) is None:
        raise NotYet(f"{path} is not there")
