"""The embedded provider: a real control plane as local processes, with simulated nodes and pods."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graders.clusters.binaries import Binaries, ensure_binaries
from graders.clusters.components import ENVIRONMENT, ControlPlane, Ports, prepare
from graders.clusters.provider import ClusterSpec, NodeSpec
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.model import Capability, Cluster
from graders.ownership import OwnedFolder
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import kill_group, spawn
from graders.progress import Progress, Task

SERVING = "/readyz?" + "&".join(
    f"exclude=poststarthook/{hook}"
    for hook in ("rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes")
)
"""Everything is ready but what the API server makes for others: roles and priority classes."""

READY_WITHIN_S = 90.0
"""Generous: a machine that needs longer cannot grade either."""


class EmbeddedProvider:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on loopback."""

    name = "embedded"
    capabilities = frozenset(
        {Capability.API, Capability.CONTROLLERS, Capability.SIMULATED_NODES, Capability.ETCD_ACCESS}
    )

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
        piped = self.spec.on_audit is not None
        audit_log = "-" if piped else str(self.folder.path / "audit.jsonl")
        plane = prepare(self.folder.path, Ports(*free_ports(2)), audit_log=audit_log)
        task.update(detail="waiting for etcd and the API server")
        self._start("etcd", plane.etcd(self.binaries.path("etcd")))
        self._start("kube-apiserver", plane.api(self.binaries.path("kube-apiserver")), piped=piped)
        # The client reads the kubeconfig, and its import takes a while: the API server starts meanwhile.
        kube = Kube(plane.kubeconfig)
        with ThreadPoolExecutor(8) as pool:
            # It serves for more than a second before it is ready, for it makes the roles that controllers
            # and scheduler need; kwok and we ourselves do not need them.
            self._wait(lambda: _answers(kube, SERVING))
            self._start("kwok", plane.simulator(self.binaries.path("kwok")))
            nodes = [
                pool.submit(kube.create, "/api/v1/nodes", node_manifest(node)) for node in self.spec.nodes
            ]
            if self.spec.before_controllers is not None:
                self.spec.before_controllers(kube)
            self._wait(lambda: _answers(kube, "/readyz"))
            task.update(detail="waiting for controllers, nodes and a scheduled pod")
            self._start(
                "kube-controller-manager", plane.controllers(self.binaries.path("kube-controller-manager"))
            )
            self._start("kube-scheduler", plane.scheduler(self.binaries.path("kube-scheduler")))
            canary = pool.submit(self._canary, kube)
            for each in (*nodes, canary):
                each.result()
            self._wait(lambda: _nodes_ready(kube, len(self.spec.nodes)))
        return plane

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
        self.running.callback(kill_group, process)
        if piped and self.spec.on_audit is not None:
            reader = threading.Thread(
                target=_pump, args=(process, self.spec.on_audit), name="audit", daemon=True
            )
            reader.start()

    def _canary(self, kube: Kube) -> None:
        """The default ServiceAccount exists and a pod gets scheduled: the last parts to come alive."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "kubeproof-canary", "namespace": "default"},
            "spec": {
                "containers": [{"name": "canary", "image": "canary"}],
                "tolerations": [{"operator": "Exists"}],
            },
        }

        def created() -> None:
            # The ServiceAccount admission plugin refuses pods until the default account is there.
            try:
                kube.create("/api/v1/namespaces/default/pods", manifest)
            except ApiRefused as error:
                raise NotYet(f"a pod in the default namespace: {error}") from error

        path = "/api/v1/namespaces/default/pods/kubeproof-canary"

        def scheduled() -> None:
            if not kube.get(path)["spec"].get("nodeName"):
                raise NotYet("the scheduler has not placed a pod")

        self._wait(created)
        self._wait(scheduled)
        kube.delete(path, gracePeriodSeconds=0)

    def _wait(self, probe: Callable[[], None]) -> None:
        def alive_and() -> None:
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    raise InfraFault(
                        f"{name} ended with code {process.returncode} while the cluster started:\n"
                        + log_tail(self.folder.path / f"{name}.log"),
                        fix="`kubeproof doctor` looks at the machine; `kubeproof setup` at the binaries",
                    )
            probe()

        try:
            wait_for(alive_and, timeout_s=READY_WITHIN_S)
        except TimedOut as error:
            raise InfraFault(
                f"the cluster was not ready within {READY_WITHIN_S:g} s: {error}",
                fix="look at the machine's load with `kubeproof doctor`",
            ) from error


def node_manifest(node: NodeSpec) -> dict[str, Any]:
    """The Node object of a simulated node, with its places as extended resources."""
    places = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    places |= {name: str(count) for name, count in node.resources.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "annotations": {"kubeproof.dev/simulated": "true"},
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": node.zone,
            },
        },
        "status": {"capacity": places, "allocatable": places},
    }


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on; all are held until the last is found, so they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def log_tail(path: Path, lines: int = 15) -> str:
    """The last `lines` of a log, or a word that there is none."""
    try:
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def _pump(process: subprocess.Popen[bytes], on_audit: Callable[[bytes], None]) -> None:
    """Hand each audit line on; what is not JSON (a panic's text, say) is not audit."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"{"):
            on_audit(line.rstrip(b"\n"))


def _answers(kube: Kube, path: str) -> None:
    try:
        answer = kube.request("GET", path, timeout_s=5.0)
    except InfraFault as error:
        raise NotYet(str(error)) from error
    if answer.code != 200:
        raise NotYet(f"{path} answers {answer.code}: {answer.message}")


def _nodes_ready(kube: Kube, count: int) -> None:
    nodes = kube.get("/api/v1/nodes")["items"]
    ready = sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", ()))
        for node in nodes
    )
    if ready < count:
        raise NotYet(f"{ready} of {count} nodes are Ready")
