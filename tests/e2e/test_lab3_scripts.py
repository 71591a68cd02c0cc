"""What lab 3 promises the programs that it starts: their doors, their folders, their programs. No cluster."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.chaos.account import ChaosAccount
from graders.chaos.commands import SandboxedCommands
from graders.chaos.hypotheses import CommandHypothesis
from graders.chaos.spec import ChaosEnvironment
from graders.clusters.kubeconfigs import certificate_kubeconfig
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.lab3.names import DR_USER
from graders.progress import Silent
from graders.runbooks.environment import RunbookEnvironment
from graders.runbooks.scripts import Ended, Scripts
from graders.runbooks.sealed import seal
from graders.runbooks.tools import ETCD_TOOLS
from graders.sandbox import Limits, sandbox_named
from graders.sandbox.protocol import MIB
from graders.sandbox.runtime import ensure_runtime
from graders.tools import ensure

pytestmark = pytest.mark.cluster

LIMITS = Limits(memory_bytes=1024 * MIB, pids=256, file_bytes=256 * MIB, tmp_bytes=64 * MIB, wall_s=180.0)
WITHIN_S = 60.0
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PEERS = "https://127.0.0.1:23800"


class Greeter:
    """A server that says its name to whoever comes, and ends with its block."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._greet, daemon=True)

    def __enter__(self) -> Greeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)

    def _greet(self) -> None:
        while True:
            try:
                knock, _ = self._listener.accept()
            except OSError:
                return
            with knock:
                knock.sendall(self._name.encode())


@dataclass
class Processes:
    """A control plane of names: what runs, and where etcd's data are."""

    etcd: Any
    components: tuple[str, ...] = (*PARTS, "kwok-zone-a", "kwok-zone-b")
    stopped: set[str] = field(default_factory=set)

    def alive(self, name: str) -> bool:
        return name not in self.stopped

    def kill(self, name: str) -> None:
        self.stopped.add(name)

    def start(self, name: str) -> None:
        self.stopped.discard(name)


@dataclass
class Runbook:
    """Runs shell scripts as if they were handed in; gives what they printed."""

    environment: RunbookEnvironment
    scripts: Scripts
    processes: Processes
    root: Path
    backups: Path
    logs: Path

    def run(self, script: str, name: str = "restore") -> tuple[int | None, str]:
        (self.root / "script").write_text(script)
        ended = self.scripts.run(name, ("bash", "script"), WITHIN_S, purpose="told", backups=self.backups)
        return ended.code, self._said()

    def back_up(self, script: str) -> tuple[Ended, Path]:
        (self.root / "script").write_text(script)
        id = uuid.uuid4().hex
        stop = threading.Event()
        ended = self.scripts.make_backup(
            ("bash", "script"), WITHIN_S, purpose="told", seal_in=self.backups, id=id, stop=stop
        )
        return ended, self.backups / id

    def printed(self, script: str) -> str:
        code, said = self.run(f"set -e; {script}")
        assert code == 0, said
        return said

    def _said(self) -> str:
        newest = max(self.logs.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return newest.read_text(encoding="utf-8").strip()


@pytest.fixture
def runbook(tmp_path: Path) -> Iterator[Runbook]:
    root, backups, data = tmp_path / "submission", tmp_path / "backups", tmp_path / "etcd-data"
    for folder in (root, backups, data):
        folder.mkdir()
        folder.chmod(0o755)
    runtime = ensure_runtime(Silent())
    environment = RunbookEnvironment(
        sandbox=sandbox_named("bubblewrap"),
        runtime=runtime,
        tools=ensure(ETCD_TOOLS, Silent()),
        submission=root,
        limits=LIMITS,
        folder=tmp_path / "environment",
        user=DR_USER,
    )
    with ExitStack() as running:
        api, etcd = (running.enter_context(Greeter(name)) for name in ("api", "etcd"))
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(certificate_kubeconfig(api.url, b"ca", b"certificate", b"key"))
        pems = {name: tmp_path / name for name in ("ca", "certificate", "key")}
        for name, path in pems.items():
            path.write_text(f"etcd's {name}")
        processes = Processes(
            SimpleNamespace(
                peer_urls={"etcd": PEERS}, endpoints=(etcd.url,), data_folders={"etcd": data}, **pems
            )
        )
        cluster = SimpleNamespace(name="one", kubeconfig=kubeconfig, identities={DR_USER: kubeconfig})
        writer = running.enter_context(BundleWriter(tmp_path / "bundle"))
        scripts = Scripts(environment, Recording(writer), cast(Any, cluster), cast(Any, processes))
        yield Runbook(environment, scripts, processes, root, backups, writer.folder / "logs")


def test_each_start_has_a_sandbox_of_its_own(runbook: Runbook) -> None:
    look = 'for each in "$HOME" /tmp; do ls -A "$each"; echo left >"$each/mine"; done'
    assert runbook.printed(look) == ""
    assert runbook.printed(look) == ""
    (runbook.root / "mine").write_text("read")
    assert runbook.printed("cat mine") == "read"
    assert runbook.run("echo changed >mine")[0] != 0
    assert runbook.run("touch another")[0] != 0
    assert (runbook.root / "mine").read_text() == "read"


def test_its_doors_lead_where_the_text_says_and_nothing_else_leads_anywhere(runbook: Runbook) -> None:
    at = "exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3"
    assert runbook.printed(at.format(6443)) == "api"
    assert runbook.printed(at.format(2379)) == "etcd"
    for elsewhere in ("127.0.0.1/2381", "10.0.0.1/443"):
        assert runbook.run(f"exec 3<>/dev/tcp/{elsewhere}")[0] != 0
    held = runbook.printed("kubectl config view --raw -o json")
    (cluster,), (user,) = json.loads(held)["clusters"], json.loads(held)["users"]
    assert cluster["cluster"]["server"] == "https://127.0.0.1:6443"
    assert user["user"].keys() == {"client-certificate-data", "client-key-data"}


def test_the_variables_of_etcd_are_what_its_tools_read(runbook: Runbook) -> None:
    assert runbook.printed('echo "$ETCDCTL_ENDPOINTS"') == "https://127.0.0.1:2379"
    assert runbook.printed('cat "$ETCDCTL_CACERT"') == "etcd's ca"
    assert runbook.printed('cat "$ETCDCTL_CERT"') == "etcd's certificate"
    assert runbook.printed('cat "$ETCDCTL_KEY"') == "etcd's key"


def test_what_a_snapshot_is_restored_with_names_this_member(runbook: Runbook) -> None:
    told = "$ETCD_NAME $ETCD_INITIAL_CLUSTER $ETCD_INITIAL_ADVERTISE_PEER_URLS"
    assert runbook.printed(f'echo "{told}"') == f"etcd etcd={PEERS} {PEERS}"
    options = runbook.printed("etcdutl snapshot restore --help")
    for each in ("--name", "--initial-cluster ", "--initial-advertise-peer-urls"):
        assert each in options


def test_work_dir_is_empty_and_holds_files_of_256_mib_and_no_more(runbook: Runbook) -> None:
    look = 'cd "$WORK_DIR"; ls -A; truncate -s 256M fits; rm fits; df --output=size -B1M . | tail -1'
    assert runbook.printed(look) == "1024"
    assert runbook.printed(look) == "1024"
    assert runbook.run('cd "$WORK_DIR"; truncate -s 257M large')[0] != 0


def test_who_restores_finds_each_sealed_backup_in_a_subfolder(runbook: Runbook) -> None:
    ended, sealed = runbook.back_up('cd "$BACKUP_DIR"; ls -A; echo state >state')
    assert ended.code == 0
    another = runbook.backups / "another"
    another.mkdir()
    (another / "state").write_text("older\n")
    seal(another)
    found = runbook.printed('cd "$BACKUP_DIR"; for each in *; do echo "$each $(cat "$each"/state)"; done')
    assert found.splitlines() == sorted([f"{sealed.name} state", "another older"])
    assert runbook.run('echo changed >"$BACKUP_DIR"/another/state')[0] != 0


def test_what_ends_otherwise_than_with_0_or_is_empty_is_no_backup(runbook: Runbook) -> None:
    for script in ('echo state >"$BACKUP_DIR"/state; exit 1', "true", ': >"$BACKUP_DIR"/state'):
        ended, sealed = runbook.back_up(script)
        assert ended.code != 0
        assert not sealed.exists(), script
    assert list(runbook.backups.iterdir()) == []
    # The control: it exists where it ends with 0, and cannot be written.
    _, sealed = runbook.back_up('echo state >"$BACKUP_DIR"/state')
    assert (sealed / "state").read_text() == "state\n"
    assert not (sealed / "state").stat().st_mode & 0o222


def test_a_backup_of_more_than_256_mib_is_none(runbook: Runbook) -> None:
    for write in ("head -c 256M /dev/zero >", "truncate -s 256M "):
        script = f'for each in 1 2 3 4 5 6 7 8; do {write}"$BACKUP_DIR"/$each; done'
        ended, sealed = runbook.back_up(script)
        assert ended.code != 0
        assert not sealed.exists()
    assert "it left more than" in ended.how
    assert runbook.back_up('head -c 255M /dev/zero >"$BACKUP_DIR"/1')[0].code == 0


def test_programs_and_packages_are_there(runbook: Runbook) -> None:
    runbook.printed("kubectl version --client; etcdctl version; etcdutl version")
    runbook.printed('python3 -c "import urllib3, yaml, kubernetes"')
    assert runbook.run("python3 -c 'import chaoslib'")[0] != 0


def test_cluster_ctl_tells_states_and_exits_as_the_text_says(runbook: Runbook) -> None:
    running = [f"{name} running" for name in PARTS]
    assert runbook.printed('"$CLUSTER_CTL" status').splitlines() == [*running, "data empty"]
    runbook.printed('"$CLUSTER_CTL" stop kube-scheduler nodes')
    assert runbook.processes.stopped == {"kube-scheduler", "kwok-zone-a", "kwok-zone-b"}
    assert "kube-scheduler stopped" in runbook.printed('"$CLUSTER_CTL" status')
    runbook.printed('"$CLUSTER_CTL" start nodes; "$CLUSTER_CTL" restart kube-scheduler')
    assert runbook.processes.stopped == set()
    moved = 'mkdir -p "$WORK_DIR"/data; "$CLUSTER_CTL" replace-data-dir "$WORK_DIR"/data'
    assert runbook.run(moved)[0] == 1  # etcd runs
    assert runbook.run('"$CLUSTER_CTL" replace-data-dir /tmp')[0] == 1
    for words in ("", "stop", "stop kubelet", "wipe etcd", "status etcd"):
        assert runbook.run(f'"$CLUSTER_CTL" {words}')[0] == 2, words


def test_a_hypothesis_is_a_command_with_the_account_of_the_experiments(
    runbook: Runbook, tmp_path: Path
) -> None:
    environment = ChaosEnvironment(
        sandbox=runbook.environment.sandbox,
        submission=runbook.root,
        runtime=runbook.environment.runtime,
        toolkit=runbook.environment.runtime,
        programs=runbook.environment.programs(),
        limits=LIMITS,
        folder=tmp_path / "chaos",
    )
    with Greeter("api") as api:
        account = ChaosAccount("chaos", "chaos-runner", "a-token", api.url, b"ca")
        commands = SandboxedCommands(environment, account, "hypothesis", tmp_path)
        ask = CommandHypothesis(commands, ("bash", "steady"), 1.0)

        def met(script: str) -> bool:
            (runbook.root / "steady").write_text(script)
            (answer,) = ask.ask("before", threading.Event())
            return bool(answer["tolerance_met"])

        assert met("exit 0")
        assert not met("exit 1")
        assert not met("kill -9 $$")
        assert met("set -e; kubectl config view --raw | grep -q 'token: a-token'; python3 -c 'import yaml'")
        assert not met("touch here")
