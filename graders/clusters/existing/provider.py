"""The provider `existing`: a cluster that is there, by a kubeconfig and a context that somebody names."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from graders.clusters.binaries import ensure_binaries
from graders.clusters.components import simulator
from graders.clusters.existing import preflight
from graders.clusters.existing.cleanup import cluster_uid, undo
from graders.clusters.existing.journal import KUBECONFIG, GuestJournal, Head
from graders.clusters.existing.kubeconfig import find_kubeconfig, isolated
from graders.clusters.existing.ownedscope import RUN, OwnedScope
from graders.clusters.existing.permissions import whoami
from graders.clusters.existing.placement import policies, served_version, wait_in_force
from graders.clusters.provider import ClusterSpec, ProviderOptions, check_needs, check_plain
from graders.clusters.readiness import (
    canary_created,
    canary_removed,
    canary_scheduled,
    node_manifest,
    nodes_ready,
)
from graders.faults import InfraFault
from graders.interrupt import done_before_the_end
from graders.kube.client import ApiRefused, Kube
from graders.model import Capability, Cluster
from graders.ownership import GUEST, NotUndone, OwnedFolder
from graders.polling import TimedOut, wait_for
from graders.progress import Progress
from graders.services import Service, ServiceSpec, log_tail

READY_WITHIN_S = 90.0
_KWOK_LOG = "kwok.log"
_ALWAYS = frozenset({Capability.API, Capability.CONTROLLERS})
_NO_POLICIES = (
    "it serves no MutatingAdmissionPolicy (Kubernetes 1.36, or v1beta1 switched on), which they take"
)


class ExistingProvider:
    """A cluster of somebody's, such as on AKS or EKS: nothing in it is changed but what is brought along."""

    name = "existing"
    several = False
    caution = (
        "the cluster is one of yours: by the rights that its manifests ask for, the operator could read "
        "what is in it, Secrets aside; it could change nothing outside of the namespaces it was graded in"
    )
    capabilities = _ALWAYS | {Capability.SIMULATED_NODES}

    def __init__(self, options: ProviderOptions) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            UsageError: no context is named, or there is no such context, or it would not be safe to use.
        """
        self._context = options.context
        self._kubeconfig = isolated(find_kubeconfig(options.kubeconfig), options.context)

    def shared(self, progress: Progress) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Nothing but the cluster, and that is there."""
        del progress
        return contextlib.nullcontext({})

    def ready(
        self, specs: Sequence[ClusterSpec], progress: Progress
    ) -> contextlib.AbstractContextManager[str]:
        """Nothing: what simulated nodes take is seen to once the cluster has been looked at."""
        del progress
        for spec in specs:
            check_plain(spec, self.name)
        return contextlib.nullcontext("")

    @contextlib.contextmanager
    def provision(self, spec: ClusterSpec, progress: Progress) -> Iterator[Cluster]:
        """Look whether the cluster can be used, bring along what is needed, and take it away in the end.

        Raises:
            UsageError: something may not be done there, or would be overwritten; so far nothing was changed.
            InfraFault: the cluster does not answer, or does not get ready.
        """
        check_plain(spec, self.name)
        with OwnedFolder(GUEST, spec.name) as folder, contextlib.ExitStack() as running:
            kubeconfig = folder.path / KUBECONFIG
            kubeconfig.touch(mode=0o600)
            kubeconfig.write_text(self._kubeconfig, encoding="utf-8")
            arrival = _Arrival(self._context, kubeconfig, spec, folder, running, progress)
            try:
                cluster = arrival.run()
            except ApiRefused as refused:
                raise InfraFault(
                    f"the cluster of context {self._context} refuses: {refused}",
                    fix="look whether a policy of its own forbids that; or use another cluster",
                ) from refused
            yield cluster


class _Arrival:
    """From a kubeconfig to a cluster that is ready; what is done is undone by `running`."""

    def __init__(
        self,
        context: str,
        kubeconfig: Path,
        spec: ClusterSpec,
        folder: OwnedFolder,
        running: contextlib.ExitStack,
        progress: Progress,
    ) -> None:
        self.context = context
        self.kube = Kube(kubeconfig)
        self.kubeconfig = kubeconfig
        self.spec = spec
        self.folder = folder
        self.running = running
        self.progress = progress
        self.run_id = secrets.token_hex(4)
        self.name = f"kubeproof-{self.run_id}"

    def run(self) -> Cluster:
        """Look, then come in."""
        with self.progress.task(f"looking at the cluster of context {self.context}"):
            version = preflight.check_version(self.kube, self.context)
            policy_version = self._check()
        kwok = ensure_binaries(self.progress).path("kwok") if policy_version else None
        with self.progress.task(f"coming into the cluster of context {self.context}") as task:
            scope = self._begin()
            mine = Kube(self.kubeconfig, guest=scope)
            mine.create("/api/v1/namespaces", {"metadata": {"name": self.name}})
            if self.spec.before_controllers is not None:
                self.spec.before_controllers(mine)
            if kwok is not None:
                task.update(detail="waiting for policies, nodes and a scheduled pod")
                self._bring_nodes(mine, scope, policy_version, kwok)
            self._wait(lambda: canary_created(mine, self.name))
            if kwok is not None:
                self._wait(lambda: canary_scheduled(mine, self.name))
            canary_removed(mine, self.name)
        return Cluster(
            name=self.context,
            kubeconfig=self.kubeconfig,
            version=version,
            capabilities=_ALWAYS | ({Capability.SIMULATED_NODES} if kwok is not None else set()),
            owned=False,
            provider=ExistingProvider.name,
            own_namespace=self.name,
            guest=scope,
            kinds_known_late=True,
        )

    def _check(self) -> str:
        """Everything that can be known beforehand; gives the version of the policies for simulated nodes."""
        user = whoami(self.kube)
        self.progress.say(f"context {self.context}: {self.kube.server}, as {user or 'somebody'}")
        version = served_version(self.kube) if self.spec.nodes else ""
        able = _ALWAYS | ({Capability.SIMULATED_NODES} if version else set())
        check_needs(self.spec.needs, able, ExistingProvider.name, {Capability.SIMULATED_NODES: _NO_POLICIES})
        preflight.check_permissions(self.kube, self.spec, self.context, user, simulated=bool(version))
        preflight.check_free(self.kube, self.spec, self.context)
        return version

    def _begin(self) -> OwnedScope:
        """From now on what is made is noted, and taken away however this ends."""
        journal = GuestJournal(self.folder.path)
        journal.open(Head(self.run_id, self.context, self.kube.server, cluster_uid(self.kube)))
        scope = OwnedScope(self.kube, journal, self.run_id)
        self.running.callback(self._leave)
        self.running.callback(scope.end)
        self.running.enter_context(done_before_the_end(scope.end))
        return scope

    def _leave(self) -> None:
        """Take everything away; what stays is told, and left to the next run."""
        with self.progress.task(f"removing what was made in the cluster of context {self.context}") as task:
            try:
                undo(self.folder.path, lambda what: task.update(detail=what))
            except NotUndone as error:
                self.progress.say(f"warning: {error}\n  fix: `kubeproof cluster sweep` tries again")

    def _bring_nodes(self, mine: Kube, scope: OwnedScope, version: str, kwok: Path) -> None:
        for policy in policies(self.run_id, version):
            mine.create(mine.path_for(policy, collection=True), policy)
        wait_in_force(mine, self.name, scope.pod)
        self._start_kwok(kwok)
        for node in self.spec.nodes:
            mine.create("/api/v1/nodes", node_manifest(replace(node, name=f"{self.name}-{node.name}")))
        self._wait(lambda: nodes_ready(mine, len(self.spec.nodes), labelled=f"{RUN}={self.run_id}"))

    def _start_kwok(self, binary: Path) -> None:
        command = simulator(binary, self.kubeconfig, nodes=self.run_id)
        # Plugins that fetch credentials live by the environment.
        spec = ServiceSpec(
            "kwok", command, self.folder.path, self.folder.path / _KWOK_LOG, environment=dict(os.environ)
        )
        self.running.enter_context(Service(spec, self.folder)).start()

    def _wait(self, probe: Callable[[], None]) -> None:
        try:
            wait_for(probe, timeout_s=READY_WITHIN_S, interval_s=0.05)
        except TimedOut as error:
            kwok = log_tail(self.folder.path / _KWOK_LOG)
            raise InfraFault(
                f"the cluster of context {self.context} did not get ready: {error}\nkwok says: {kwok}"
            ) from error


def provider(options: ProviderOptions) -> ExistingProvider:
    """The provider, by the kubeconfig and context that somebody named."""
    return ExistingProvider(options)
