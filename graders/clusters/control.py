"""The control plane of an embedded cluster, process by process: to start it, and to break it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psutil

from graders.clusters.binaries import Binaries
from graders.clusters.components import ENVIRONMENT, Commands, Ports, prepare
from graders.clusters.etcddata import replace_folder
from graders.clusters.provider import ClusterSpec
from graders.clusters.readiness import answers
from graders.controlplane import EtcdAccess
from graders.faults import InfraFault, UsageError
from graders.kube.client import Kube
from graders.once import remove_tree
from graders.ownership import OwnedFolder
from graders.polling import await_ready
from graders.ports import held_ports
from graders.services import Service, ServiceSpec

READY_WITHIN_S = 90.0
"""Generous: a machine that needs longer cannot grade either."""

_JOIN = "--initial-cluster-state=existing"
_API_SERVER = "kube-apiserver"


class EmbeddedControl:
    """The processes that `commands` are for; they are killed when the block ends, etcd last."""

    def __init__(self, folder: OwnedFolder, binaries: Binaries, commands: Commands) -> None:
        """Start nothing yet."""
        self.commands = commands
        self._lock = threading.RLock()
        self._emptied: set[str] = set()
        self._running = contextlib.ExitStack()
        on_audit = commands.spec.on_audit
        takers = {_API_SERVER: _audit_only(on_audit)} if on_audit is not None else {}
        self._services = {
            name: Service(
                ServiceSpec(
                    name=name,
                    command=command,
                    folder=folder.path,
                    log=folder.path / f"{name}.log",
                    environment=ENVIRONMENT.get(name, {}),
                    on_line=takers.get(name),
                ),
                folder,
            )
            for name, command in commands.all(binaries.path).items()
        }

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the processes, in the order they start."""
        return tuple(self._services)

    @property
    def etcd(self) -> EtcdAccess:
        """The way past the API server, with the certificate that it has itself."""
        commands = self.commands
        return EtcdAccess(
            endpoints=commands.endpoints,
            ca=commands.etcd_ca,
            certificate=commands.etcd_client.certificate,
            key=commands.etcd_client.key,
            data_folders={member: commands.data_folder(member) for member in commands.members},
            peer_urls=commands.peer_urls,
        )

    def kill(self, name: str) -> None:
        """SIGKILL a component; it is dead when this returns."""
        self._service(name).kill()

    def stop(self, name: str, grace_s: float) -> None:
        """SIGTERM a component, and `grace_s` later SIGKILL it."""
        self._service(name).stop(grace_s)

    def start(self, name: str) -> None:
        """Start a component unless it runs."""
        service = self._service(name)
        with self._lock:
            joins = name in self._emptied
            service.start([*service.spec.command, _JOIN] if joins else None)
            self._emptied.discard(name)

    def alive(self, name: str) -> bool:
        """Whether a component runs."""
        return self._service(name).alive

    def command_line(self, name: str) -> tuple[str, ...]:
        """The words that a running component was started with, as the machine has them.

        Raises:
            InfraFault: it does not run.
        """
        service = self._service(name)
        try:
            words = psutil.Process(service.pid).cmdline() if service.alive else []
        except psutil.NoSuchProcess:
            words = []
        if not words:
            raise InfraFault(f"{name} does not run, so that it has no command line")
        return tuple(words)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a component's log, over all its starts."""
        return self._service(name).log_tail(lines)

    def wipe(self, name: str) -> None:
        """Remove the data of a stopped etcd member.

        Raises:
            UsageError: it runs, or is no etcd member.
        """
        with self._lock:
            folder = self.etcd.data_folders[self._stopped_member(name)]
            remove_tree(folder)
            self._emptied.add(name)
            if self._emptied == set(self.commands.members):
                # There is nobody left to join.
                self._emptied.clear()

    def replace_data(self, name: str, folder: Path) -> None:
        """Put a copy of `folder` in the place of a stopped etcd member's data.

        Raises:
            UsageError: the member runs, or is none, or `folder` holds no data of etcd.
        """
        with self._lock:
            replace_folder(self.etcd.data_folders[self._stopped_member(name)], folder)
            self._emptied.discard(name)

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the API server says that it is ready.

        Raises:
            InfraFault: it did not within `timeout_s`; has its last answer.
        """
        kube = Kube(self.commands.kubeconfig)
        await_ready("the API server", lambda: answers(kube, "/readyz"), timeout_s, interval_s=0.05)

    def check_alive(self) -> None:
        """See that everything that was started still runs.

        Raises:
            ServiceDied: something does not; has its exit code and the end of its log.
        """
        for service in self._services.values():
            if service.pid is not None:
                service.check_alive()

    def until(self, probe: Callable[[], None]) -> None:
        """Wait for `probe` to hold, as long as everything that was started runs.

        Raises:
            ServiceDied: something does not. InfraFault: it did not hold in good time; has the last mismatch.
        """

        def alive_and() -> None:
            self.check_alive()
            probe()

        await_ready("the cluster", alive_and, READY_WITHIN_S)

    def __enter__(self) -> Self:
        for service in self._services.values():
            self._running.enter_context(service)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _service(self, name: str) -> Service:
        if name not in self._services:
            raise UsageError(
                f"this control plane has no component {name!r}", fix=f"use one of {', '.join(self._services)}"
            )
        return self._services[name]

    def _stopped_member(self, name: str) -> str:
        service = self._service(name)
        if name not in self.commands.members:
            raise UsageError(
                f"{name} has no data of its own", fix=f"use {' or '.join(self.commands.members)}"
            )
        if service.alive:
            raise UsageError(f"{name} runs, and its data are in use", fix="kill it first")
        return name


@contextlib.contextmanager
def control_plane(folder: OwnedFolder, binaries: Binaries, spec: ClusterSpec) -> Iterator[EmbeddedControl]:
    """The processes of a cluster in `folder`, none started; all are gone when the block ends."""
    with held_ports(spec.etcd_members + 1) as (api, *etcd):
        audit_log = "-" if spec.on_audit is not None else str(folder.path / "audit.jsonl")
        commands = prepare(folder.path, Ports(tuple(etcd), api), spec, audit_log=audit_log)
        with EmbeddedControl(folder, binaries, commands) as control:
            if spec.golden is not None:
                control.replace_data("etcd", spec.golden)
            yield control


def _audit_only(on_audit: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """What is not JSON (a panic's text, say) is not audit."""

    def on_line(line: bytes) -> None:
        if line.startswith(b"{"):
            on_audit(line)

    return on_line
