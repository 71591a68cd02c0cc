"""Backup, restore and verify of a runbook: each in a sandbox of its own, with its doors and nothing else."""

import base64
import contextlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graders.clusterctl.door import ControlDoor
from graders.clusters.kubeconfigs import certificate_kubeconfig
from graders.controlplane import ControlPlane
from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.kube.addresses import server_address
from graders.kube.client import Kube
from graders.model import Cluster
from graders.recovery.records import ScriptRun
from graders.runbooks.environment import RunbookEnvironment
from graders.runbooks.sealed import seal
from graders.sandbox.protocol import MIB, ExitStatus, Mount, SandboxSpec, View
from graders.sandbox.relay import relayed
from graders.sandbox.supervision import SandboxedProcess
from graders.scenario.learner import sandbox_spec

API, ETCD, CONTROL = "api", "etcd", "control"
_PORTS = {API: 6443, ETCD: 2379, CONTROL: 2380}
_PLACE = "/run/dr"
_WORK, _BACKUP, _PROGRAMS = f"{_PLACE}/work", f"{_PLACE}/backup", f"{_PLACE}/bin"
_WORK_BYTES, BACKUP_BYTES = 1024 * MIB, 256 * MIB
_SAID_CHARS = 600


@dataclass(frozen=True)
class Ended:
    """How a script ended; `code` None where it was stopped."""

    code: int | None
    how: str


class Scripts:
    """Starts the scripts against one cluster."""

    def __init__(
        self, environment: RunbookEnvironment, recording: Recording, cluster: Cluster, control: ControlPlane
    ) -> None:
        self._environment = environment
        self._recording = recording
        self._cluster = cluster
        self._control = control
        self._number = 0
        self._lock = threading.Lock()
        self._scratch = environment.folder / f"scripts-{cluster.name}"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._door = ControlDoor(control, recording, cluster.name, self._scratch)
        self._server = Kube(cluster.kubeconfig).server

    def run(
        self,
        script: str,
        command: tuple[str, ...],
        timeout_s: float,
        *,
        purpose: str,
        backups: Path,
        stop: threading.Event | None = None,
    ) -> Ended:
        """Run a script to its end, or for `timeout_s`, with the sealed backups in `backups`."""
        mount = Mount(_BACKUP, backups)
        with self._running(script, command, mount, purpose, timeout_s, stop) as (_, ended, note):
            note(ended, "")
        return ended

    def has_replaced_data(self) -> Callable[[], bool]:
        """Whether etcd's data were replaced since now."""
        before = self._door.replaced
        return lambda: self._door.replaced > before

    def make_backup(
        self,
        command: tuple[str, ...],
        timeout_s: float,
        *,
        purpose: str,
        seal_in: Path,
        id: str,
        stop: threading.Event,
    ) -> Ended:
        """Run a backup; what it left is in `seal_in`/`id`, read-only, if it ended with 0."""
        mount = Mount(_BACKUP, writable=True, size_bytes=BACKUP_BYTES)
        with self._running("backup", command, mount, purpose, timeout_s, stop) as (process, ended, note):
            told = ended
            if ended.code == 0:
                try:
                    self._seal(process, seal_in, id)
                except BadSubmission as error:
                    told = Ended(None, f"left what cannot be kept: {error.problem}")
            note(told, id if told.code == 0 else "")
        return told

    def _seal(self, process: SandboxedProcess, seal_in: Path, id: str) -> None:
        staged = Path(tempfile.mkdtemp(prefix="staged-", dir=self._scratch)) / id
        process.collect(_BACKUP, staged, most_bytes=BACKUP_BYTES)
        if not any(path.is_file() and path.stat().st_size for path in staged.rglob("*")):
            raise BadSubmission("it is empty", file="dr/backup", fix="write what is to be kept to BACKUP_DIR")
        seal(staged)
        staged.rename(seal_in / id)

    @contextlib.contextmanager
    def _running(
        self,
        script: str,
        command: tuple[str, ...],
        mount: Mount,
        purpose: str,
        timeout_s: float,
        stop: threading.Event | None,
    ) -> Iterator[tuple[SandboxedProcess, Ended, Callable[[Ended, str], None]]]:
        with self._lock:
            self._number += 1
            name = f"{self._cluster.name}-{script}-{self._number}"
        clock = self._recording.clock
        t = clock.now()
        with self._environment.sandbox.start(self._spec(name, command, mount)) as process:
            with contextlib.ExitStack() as doors:
                for door, address in self._addresses().items():
                    doors.enter_context(relayed(process.doors[door], address))
                doors.enter_context(self._door.serve(process.doors[CONTROL]))
                status = _wait(process, timeout_s, stop)
                stopped = status is None
                status = status or process.stop()
            t_end = clock.now()
            said = printed_text(process.log_path.read_bytes())
            (self._recording.writer.folder / "logs" / f"{name}.log").write_text(said, encoding="utf-8")
            code = None if stopped else status.code
            how = f"was stopped after {t_end - t:.1f} s" if stopped else str(status)

            def note(told: Ended, backup: str) -> None:
                said_last, cluster = said[-_SAID_CHARS:], self._cluster.name
                self._recording.writer.add(
                    ScriptRun(t, t_end, script, purpose, told.code, told.how, backup, said_last, cluster)
                )
                self._recording.changes.notify()

            yield process, Ended(code, how), note

    def _spec(self, name: str, command: tuple[str, ...], mount: Mount) -> SandboxSpec:
        given = self._environment
        base = sandbox_spec(given.submission, given.runtime, name, self._scratch, command, given.limits)
        own = (
            mount,
            Mount(_WORK, writable=True, size_bytes=_WORK_BYTES),
            Mount(_PROGRAMS, given.programs()),
        )
        return replace(
            base,
            environment=self._variables,
            files=self._files,
            doors=tuple(_PORTS),
            ports=_PORTS,
            mounts=(*base.mounts, *own),
        )

    def _variables(self, view: View) -> dict[str, str]:
        peers = self._control.etcd.peer_urls
        programs = view.mounts[_PROGRAMS]
        return {
            "PATH": f"{self._environment.runtime.venv}/bin:{programs}:/usr/local/bin:/usr/bin:/bin",
            "KUBECONFIG": f"{view.files}/kubeconfig",
            "ETCDCTL_ENDPOINTS": f"https://{view.doors[ETCD]}",
            "ETCDCTL_CACERT": f"{view.files}/etcd-ca.crt",
            "ETCDCTL_CERT": f"{view.files}/etcd.crt",
            "ETCDCTL_KEY": f"{view.files}/etcd.key",
            "ETCD_NAME": "etcd",
            "ETCD_INITIAL_CLUSTER": ",".join(f"{name}={url}" for name, url in peers.items()),
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": peers["etcd"],
            "WORK_DIR": view.mounts[_WORK],
            "BACKUP_DIR": view.mounts[_BACKUP],
            "CLUSTER_CTL": f"{programs}/cluster-ctl",
            "CLUSTER_CTL_DOOR": view.doors[CONTROL],
        }

    def _files(self, view: View) -> dict[str, bytes]:
        etcd, identity = self._control.etcd, self._cluster.identities[self._environment.user]
        return {
            "kubeconfig": kubeconfig_at(identity, f"https://{view.doors[API]}").encode(),
            "etcd-ca.crt": etcd.ca.read_bytes(),
            "etcd.crt": etcd.certificate.read_bytes(),
            "etcd.key": etcd.key.read_bytes(),
        }

    def _addresses(self) -> dict[str, tuple[str, int]]:
        return {API: server_address(self._server), ETCD: server_address(self._control.etcd.endpoints[0])}


def kubeconfig_at(kubeconfig: Path, server: str) -> str:
    """A kubeconfig that holds its certificates, with another address of the same server.

    Raises:
        InfraFault: it cannot be read.
    """
    try:
        held = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = held["clusters"][0]["cluster"], held["users"][0]["user"]
        data = (
            base64.b64decode(each)
            for each in (
                cluster["certificate-authority-data"],
                user["client-certificate-data"],
                user["client-key-data"],
            )
        )
        return certificate_kubeconfig(server, *data)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InfraFault(f"the kubeconfig {kubeconfig} cannot be used: {error}") from error


def _wait(process: SandboxedProcess, timeout_s: float, stop: threading.Event | None) -> ExitStatus | None:
    """How it ended; None where its time is up, or `stop` is set."""
    if stop is None:
        return process.wait(timeout_s)
    left_s = timeout_s
    while left_s > 0 and not stop.is_set():
        if (status := process.wait(min(0.1, left_s))) is not None:
            return status
        left_s -= 0.1
    return process.exit
