"""The embedded provider: a real control plane as local processes, with simulated nodes and pods."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graders.clusters.binaries import Binaries, ensure_binaries
from graders.clusters.components import ENVIRONMENT, ControlPlane, Ports, prepare
from graders.clusters.provider import ClusterSpec, ProviderOptions
from graders.clusters.readiness import (
    answers,
    canary_created,
    canary_removed,
    canary_scheduled,
    node_manifest,
    nodes_ready,
)
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.model import Capability, Cluster
from graders.ownership import OwnedFolder
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import kill_group, spawn
from graders.progress import Progress, Task
from graders.services import log_tail

SERVING = "/readyz?" + "&".join(
    f"exclude=poststarthook/{hook}"
    for hook in ("rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes")
)
"""Everything is ready but what the API server makes for others: roles and priority classes."""

READY_WITHIN_S = 90.0
"""Generous: a machine that needs longer cannot grade either."""


class ComponentDied(InfraFault):
    """A process of the control plane ended before the cluster was ready."""


class EmbeddedProvider:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on loopback."""

    name = "embedded"
    several = True
    caution = ""
    capabilities = frozenset(
        {
            Capability.API,
            Capability.CONTROLLERS,
            Capability.SIMULATED_NODES,
            Capability.ETCD_ACCESS,
            Capability.AUDIT_LOG,
        }
    )

    def shared(self, progress: Progress) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Nothing: what a cluster is made of, each grading starts for itself."""
        del progress
        return contextlib.nullcontext({})

    def ready(self, spec: ClusterSpec, progress: Progress) -> contextlib.AbstractContextManager[str]:
        """Have the programs; there is no engine."""
        del spec
        ensure_binaries(progress)
        return contextlib.nullcontext("")

    @contextlib.contextmanager
    def provision(self, spec: ClusterSpec, progress: Progress) -> Iterator[Cluster]:
        """Start a cluster; its processes and folder are gone when the block ends.

        Raises:
            InfraFault: a component died or did not get ready; says which, with the end of its log.
        """
        binaries = ensure_binaries(progress)
        with OwnedFolder("cluster", spec.name) as folder, contextlib.ExitStack() as running:
            with progress.task(f"starting cluster {spec.name} (Kubernetes {binaries.version})") as task:
                starting = _Starting(folder, binaries, spec, running)
                plane = starting.run(task)
            yield Cluster(
                name=spec.name,
                kubeconfig=plane.kubeconfig,
                version=binaries.version,
                capabilities=self.capabilities,
                owned=True,
                provider=self.name,
                serving=(plane.proxy.certificate, plane.proxy.key),
            )


class _Starting:
    """One start-up; processes are killed by `running`, etcd last."""

    def __init__(
        self, folder: OwnedFolder, binaries: Binaries, spec: ClusterSpec, running: contextlib.ExitStack
    ) -> None:
        self.folder = folder
        self.binaries = binaries
        self.spec = spec
        self.running = running
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, task: Task) -> ControlPlane:
        """Start everything and wait until it is ready.

        Raises:
            InfraFault: names the component that died, or what did not come.
        """
        piped = self.spec.on_audit is not None
        audit_log = "-" if piped else str(self.folder.path / "audit.jsonl")
        plane = prepare(self.folder.path, Ports(*free_ports(2)), audit_log=audit_log)
        try:
            self._bring_up(plane, task, piped=piped)
        except InfraFault as error:
            # A request that got no answer is how the death of the API server shows first.
            self._blame_the_dead(error)
            raise
        return plane

    def _bring_up(self, plane: ControlPlane, task: Task, *, piped: bool) -> None:
        binary = self.binaries.path
        task.update(detail="waiting for etcd and the API server")
        self._start("etcd", plane.etcd(binary("etcd")))
        self._start("kube-apiserver", plane.api(binary("kube-apiserver")), piped=piped)
        # The client reads the kubeconfig, and its import takes a while: the API server starts meanwhile.
        kube = Kube(plane.kubeconfig)
        with ThreadPoolExecutor(8) as pool:
            # It serves for more than a second before it is ready, for it makes the roles that controllers
            # and scheduler need; kwok and we ourselves do not need them.
            self._wait(lambda: answers(kube, SERVING))
            self._start("kwok", plane.simulator(binary("kwok")))
            nodes = [
                pool.submit(kube.create, "/api/v1/nodes", node_manifest(node)) for node in self.spec.nodes
            ]
            if self.spec.before_controllers is not None:
                self.spec.before_controllers(kube)
            self._wait(lambda: answers(kube, "/readyz"))
            task.update(detail="waiting for controllers, nodes and a scheduled pod")
            self._start("kube-controller-manager", plane.controllers(binary("kube-controller-manager")))
            self._start("kube-scheduler", plane.scheduler(binary("kube-scheduler")))
            canary = pool.submit(self._canary, kube)
            for each in (*nodes, canary):
                each.result()
            self._wait(lambda: nodes_ready(kube, len(self.spec.nodes)))

    def _start(self, name: str, command: list[str | Path], *, piped: bool = False) -> None:
        log = (self.folder.path / f"{name}.log").open("wb")
        with log:
            process = spawn(
                command,
                environment={
                    "HOME": str(self.folder.path),
                    "PATH": "/usr/bin:/bin",
                    **ENVIRONMENT.get(name, {}),
                },
                folder=self.folder.path,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
            )
        self.folder.record(process.pid)
        self.processes[name] = process
        if piped and self.spec.on_audit is not None:
            reader = threading.Thread(
                target=_pump, args=(process, self.spec.on_audit), name="audit", daemon=True
            )
            reader.start()
            # Unwound after the kill: whoever takes the lines has had the last one when the cluster is gone.
            self.running.callback(reader.join, 5.0)
        self.running.callback(kill_group, process)

    def _canary(self, kube: Kube) -> None:
        """The default ServiceAccount exists and a pod gets scheduled: the last parts to come alive."""
        self._wait(lambda: canary_created(kube))
        self._wait(lambda: canary_scheduled(kube))
        canary_removed(kube)

    def _wait(self, probe: Callable[[], None]) -> None:
        def alive_and() -> None:
            self._check_alive()
            probe()

        try:
            wait_for(alive_and, timeout_s=READY_WITHIN_S)
        except TimedOut as error:
            raise InfraFault(
                f"the cluster was not ready within {READY_WITHIN_S:g} s: {error}",
                fix="look at the machine's load with `kubeproof doctor`",
            ) from error

    def _check_alive(self) -> None:
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                raise ComponentDied(
                    f"{name} ended with code {process.returncode} while the cluster started:\n"
                    + log_tail(self.folder.path / f"{name}.log"),
                    fix="`kubeproof doctor` looks at the machine; `kubeproof setup` at the binaries",
                )

    def _blame_the_dead(self, error: InfraFault) -> None:
        """Connections break before the process that held them can be seen to be dead: look for a while."""
        if isinstance(error, ComponentDied):
            return

        def somebody_died() -> None:
            self._check_alive()
            raise NotYet("everything lives")

        with contextlib.suppress(TimedOut):
            wait_for(somebody_died, timeout_s=1.0)


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on; all are held until the last is found, so they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _pump(process: subprocess.Popen[bytes], on_audit: Callable[[bytes], None]) -> None:
    """Hand each audit line on; what is not JSON (a panic's text, say) is not audit."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if line.startswith(b"{"):
                on_audit(line.rstrip(b"\n"))


def provider(options: ProviderOptions) -> EmbeddedProvider:
    """The provider; it takes no options."""
    del options
    return EmbeddedProvider()
