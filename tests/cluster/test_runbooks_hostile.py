"""Scripts of disaster recovery that do what they must not: each ends, and nothing of it is left."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.progress import Silent
from graders.recovery.records import ScriptRun
from graders.runbooks.environment import RunbookEnvironment
from graders.runbooks.scripts import Ended, Scripts
from graders.runbooks.sealed import seal
from graders.runbooks.tools import ETCD_TOOLS
from graders.sandbox import Limits, sandbox_named
from graders.sandbox.protocol import MIB
from graders.sandbox.runtime import ensure_runtime
from graders.tools import ensure
from tests.cluster.controlled import Controlled, controlled

pytestmark = pytest.mark.cluster

LIMITS = Limits(memory_bytes=1024 * MIB, pids=256, file_bytes=256 * MIB, tmp_bytes=64 * MIB, wall_s=180.0)
WITHIN_S = 60.0
USER = "kubeproof:dr"


@dataclass
class Runbook:
    """Runs shell scripts as if they were handed in."""

    scripts: Scripts
    root: Path
    backups: Path

    def run(self, script: str, within_s: float = WITHIN_S) -> Ended:
        """As dr/restore."""
        (self.root / "script").write_text(script)
        return self.scripts.run(
            "restore", ("bash", "script"), within_s, purpose="hostile", backups=self.backups
        )

    def back_up(self, script: str) -> tuple[Ended, list[str]]:
        """As dr/backup; gives how it ended and what is sealed of it."""
        (self.root / "script").write_text(script)
        id = uuid.uuid4().hex
        ended = self.scripts.make_backup(
            ("bash", "script"),
            WITHIN_S,
            purpose="hostile",
            seal_in=self.backups,
            id=id,
            stop=threading.Event(),
        )
        return ended, sorted(path.name for path in (self.backups / id).rglob("*"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    with controlled(tmp_path_factory.mktemp("state"), identities={USER: ("system:masters",)}) as world:
        yield world


@pytest.fixture
def runbook(world: Controlled, tmp_path: Path) -> Iterator[Runbook]:
    root, backups = tmp_path / "submission", tmp_path / "backups"
    for folder in (root, backups):
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
        user=USER,
    )
    with ExitStack() as running:
        recording = Recording(running.enter_context(BundleWriter(tmp_path / "bundle")))
        yield Runbook(Scripts(environment, recording, world.cluster, world.control), root, backups)


def still_running(word: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            found += [process.pid] if word in process.cmdline() else []
        except psutil.NoSuchProcess:
            continue
    return found


def test_one_that_never_ends_is_ended_with_all_that_it_started(runbook: Runbook) -> None:
    seconds = str(uuid.uuid4().int % 10**9 + 10**9)
    # The control: it does run while nobody ends it.
    seen: list[int] = []

    def look() -> None:
        until = time.monotonic() + 10.0
        while not seen and time.monotonic() < until:
            seen.extend(still_running(seconds))
            time.sleep(0.05)

    looking = threading.Thread(target=look)
    looking.start()
    ended = runbook.run(f"trap '' TERM INT HUP; setsid sleep {seconds} & sleep {seconds}; wait", 5.0)
    looking.join()
    assert ended.code is None
    assert "was stopped after" in ended.how
    assert seen
    assert still_running(seconds) == []


def test_sealed_backups_cannot_be_removed_or_changed(runbook: Runbook) -> None:
    good = runbook.backups / "good"
    good.mkdir()
    (good / "state").write_text("kept")
    seal(good)
    spoil = "rm -rf good; echo forged >good/state; touch new"
    ended = runbook.run(f'cd "$BACKUP_DIR"; {spoil}')
    assert ended.code != 0
    assert (good / "state").read_text() == "kept"
    assert [path.name for path in runbook.backups.iterdir()] == ["good"]
    assert runbook.run('test "$(cat "$BACKUP_DIR"/good/state)" = kept').code == 0


def test_a_backup_of_two_gigabytes_does_not_exist(runbook: Runbook) -> None:
    for size, count in (("2G", 1), ("64M", 32)):
        write = (
            f'dd if=/dev/zero of="$BACKUP_DIR/$i" bs=1M count={size[:-1]}{"" if size[-1] == "M" else "000"}'
        )
        ended, sealed = runbook.back_up(f"set -e; for i in $(seq {count}); do {write}; done")
        assert ended.code != 0, size
        assert sealed == []
    # The control: what fits is sealed.
    assert runbook.back_up('echo state >"$BACKUP_DIR/state"') == (Ended(0, "exited with code 0"), ["state"])


def test_what_cannot_be_kept_is_no_backup_and_the_record_says_why(
    runbook: Runbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[object] = []
    monkeypatch.setattr(BundleWriter, "add", lambda _, record: kept.append(record))
    for script, why in (
        ("true", "it is empty"),
        ('mkdir "$BACKUP_DIR/a"; : >"$BACKUP_DIR/a/b"', "it is empty"),
        ('cd "$BACKUP_DIR"; for i in $(seq 9); do truncate -s 250M $i; done', "more than 268435456 bytes"),
    ):
        ended, sealed = runbook.back_up(script)
        assert (ended.code, sealed) == (None, []), script
        assert "left what cannot be kept" in ended.how
        assert why in ended.how
        (run,) = (each for each in kept if isinstance(each, ScriptRun))
        assert (run.code, run.how, run.backup) == (None, ended.how, "")
        kept.clear()


def test_whoever_kills_all_he_sees_kills_himself(runbook: Runbook, world: Controlled) -> None:
    ended = runbook.run("kill -9 -1; for each in /proc/[0-9]*; do kill -STOP ${each##*/}; done", 20.0)
    assert ended.code != 0
    assert all(world.control.alive(name) for name in world.control.components)
    assert runbook.run("kubectl get --raw /readyz").code == 0


def test_links_are_no_backup(runbook: Runbook) -> None:
    ended, sealed = runbook.back_up('cd "$BACKUP_DIR"; ln -s /etc/passwd a; mkfifo b; echo >c')
    assert ended.code == 0
    assert sealed == ["c"]


def test_it_reaches_its_doors_and_nothing_else(runbook: Runbook, world: Controlled) -> None:
    api = world.kube.server.rpartition(":")[2]
    assert runbook.run("kubectl get --raw /readyz").code == 0
    assert runbook.run("etcdctl endpoint health").code == 0
    assert runbook.run(f"exec 3<>/dev/tcp/127.0.0.1/{api}").code != 0
    assert runbook.run("touch here").code != 0
    assert runbook.run(f"test -e {world.cluster.kubeconfig}").code != 0


def test_the_door_obeys_no_wish_beyond_its_grammar(runbook: Runbook, world: Controlled) -> None:
    for words in ("stop kubeproof", "stop ../etcd", "wipe etcd", "stop", "replace-data-dir"):
        assert runbook.run(f'"$CLUSTER_CTL" {words}').code == 2, words
    assert runbook.run('"$CLUSTER_CTL" replace-data-dir /etc').code == 1
    running = 'mkdir "$WORK_DIR/data"; "$CLUSTER_CTL" replace-data-dir "$WORK_DIR/data"'
    assert runbook.run(running).code == 1
    assert all(world.control.alive(name) for name in world.control.components)
