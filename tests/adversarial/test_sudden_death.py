"""Nothing survives its owner, however it ends and whatever its folder has been made to look like."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from graders.faults import InfraFault
from graders.ownership import OwnedFolder, recorded_pids, sweep
from graders.polling import NotYet, wait_for

pytestmark = pytest.mark.adversarial

WITHIN_S = 90.0
NOBODY = 65534

PROVISION = """
import signal
from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterSpec
from graders.progress import Silent
with EmbeddedProvider().provision(ClusterSpec(name="doomed"), Silent()):
    print("ready", flush=True)
    signal.pause()
"""

DEAD_OWNER = """
import os, sys
from graders.ownership import OwnedFolder
for number in range(int(sys.argv[1])):
    owned = OwnedFolder("dead", str(number))
    (owned.path / "etcd").mkdir()
    (owned.path / "etcd" / "wal").write_text("x" * 1000)
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("KUBEPROOF_STATE", str(folder))
    return folder


@pytest.mark.cluster
@pytest.mark.parametrize("components", [1, 2, 3, 5])
def test_sigkill_while_a_cluster_starts_leaves_no_process_and_the_next_sweep_no_folder(
    components: int, state: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", PROVISION], stdout=subprocess.DEVNULL) as owner:
        wait_for(lambda: _at_least(components, state, owner), timeout_s=WITHIN_S)
        _dies_with_all_it_started(owner)

    (left,) = _folders(state)
    assert left.startswith("cluster-doomed-")
    assert sweep() == [left]
    assert _folders(state) == []


@pytest.mark.cluster
def test_sigkill_of_the_owner_of_a_ready_cluster_does_the_same(state: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROVISION], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        _dies_with_all_it_started(owner)

    assert len(sweep()) == 1
    assert _folders(state) == []


@pytest.mark.cluster
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_cluster_up_leaves_nothing(number: signal.Signals, state: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "graders", "cluster", "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as up:
        wait_for(lambda: _at_least(2, state, up), timeout_s=WITHIN_S)
        started = psutil.Process(up.pid).children(recursive=True)
        up.send_signal(number)
        output, errors = up.communicate(timeout=WITHIN_S)

    assert up.returncode == 128 + number
    assert output == b""
    assert f"stopped by {number.name}" in errors.decode()
    assert len(started) >= 3
    assert [process for process in started if process.is_running()] == []
    assert _folders(state) == []


@pytest.mark.cluster
def test_sigkill_of_cluster_up_ends_the_daemon_too(state: Path) -> None:
    """Nobody would know of a cluster whose start nobody saw the end of."""
    with subprocess.Popen(
        [sys.executable, "-m", "graders", "cluster", "up"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as up:
        wait_for(lambda: _at_least(1, state, up), timeout_s=WITHIN_S)
        started = psutil.Process(up.pid).children(recursive=True)
        up.kill()

    wait_for(lambda: _dead(started), timeout_s=WITHIN_S)
    assert _folders(state) == []


def test_two_sweeps_at_once_share_the_work(state: Path) -> None:
    left = _die(30)
    with OwnedFolder("alive") as alive, ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(_sweep_elsewhere) for _ in range(2)]
        swept = [name for each in sweeps for name in each.result()]

        assert sorted(swept) == left
        assert _folders(state) == [alive.path.name]


def test_folders_are_made_while_others_sweep_and_none_is_lost(state: Path) -> None:
    """A sweep must not meet a folder between its making and its locking."""
    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(sweep) for _ in range(200)]
        made = [OwnedFolder("young", str(number)) for number in range(100)]
        swept = [name for each in sweeps for name in each.result()]

    assert swept == []
    assert all(owned.path.is_dir() for owned in made)
    for owned in made:
        owned.close()


def test_a_recycled_pid_is_not_killed(state: Path) -> None:
    (left,) = _die(1)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        record = state / left / "processes" / str(bystander.pid)
        record.write_text("0f0f0f0f-0000-0000-0000-000000000000 4711")

        assert sweep() == [left]
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_state_folder_of_somebody_else_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, NOBODY, NOBODY)
    else:
        theirs = Path("/usr")
    if kind == "link":
        link = tmp_path / "link"
        link.symlink_to(theirs)
        theirs = link
    monkeypatch.setenv("KUBEPROOF_STATE", str(theirs))

    with pytest.raises(InfraFault, match="belongs to another user") as refused:
        OwnedFolder("cluster")
    assert "KUBEPROOF_STATE" in refused.value.fix
    with pytest.raises(InfraFault, match="belongs to another user"):
        sweep()


HOSTILE = """
import os, sys
from graders.ownership import OwnedFolder, sweep
from pathlib import Path
owned = OwnedFolder("hostile")
top = owned.path / "scratch"
for mode in (0o000, 0o555, 0o111):
    inner = top / oct(mode) / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    os.link(inner / "file", inner / "again")
    inner.chmod(mode)
    inner.parent.chmod(mode)
outside = Path(sys.argv[1])
(top / "link").symlink_to(outside)
(top / "dangling").symlink_to("/nowhere")
os.mkfifo(top / "fifo")
(top / ("n" * 200 + "\\n\\x1b[2J")).write_text("x")
(top / "-rf").write_text("x")
deep = os.open(top, os.O_RDONLY)
for _ in range(3000):
    os.mkdir("d", dir_fd=deep)
    deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
    os.close(deep)
    deep = deeper
os.close(deep)
top.chmod(0o000)
if sys.argv[2] == "close":
    owned.close()
else:
    owned.path.chmod(0o000)
    os.close(owned._lock)
    print(sweep())
sys.exit(owned.path.exists() and os.listdir(owned.path) or 0)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that an ordinary user may use, for root is stopped by no mode at all."""
    folder = Path(tempfile.mkdtemp(prefix="kubeproof-test-"))
    folder.chmod(0o755)
    for name in ("state", "outside"):
        (folder / name).mkdir(mode=0o755)
        (folder / name / "kept").write_text("kept")
        (folder / name / "kept").chmod(0o400)
        if os.getuid() == 0:
            os.chown(folder / name, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("way", ["close", "sweep"])
def test_a_folder_made_unreadable_and_bottomless_is_removed_by_an_ordinary_user(
    way: str, place: Path
) -> None:
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if not os.getuid() else []
    done = subprocess.run(
        [*user, sys.executable, "-B", "-c", HOSTILE, place / "outside", way],
        env={"KUBEPROOF_STATE": str(place / "state"), "PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [path.name for path in (place / "state").iterdir() if path.is_dir()] == []
    assert (place / "outside").stat().st_mode & 0o777 == 0o755
    assert (place / "outside" / "kept").stat().st_mode & 0o777 == 0o400


def _die(folders: int) -> list[str]:
    """Owned folders whose owner was killed; gives their names."""
    ended = subprocess.run([sys.executable, "-c", DEAD_OWNER, str(folders)], check=False)
    assert ended.returncode == -signal.SIGKILL
    return _folders(Path(os.environ["KUBEPROOF_STATE"]))


def _sweep_elsewhere() -> list[str]:
    program = "import json\nfrom graders.ownership import sweep\nprint(json.dumps(sweep()))"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout))


def _dies_with_all_it_started(owner: subprocess.Popen[bytes]) -> None:
    started = psutil.Process(owner.pid).children(recursive=True)
    assert started
    owner.kill()
    owner.wait(WITHIN_S)
    wait_for(lambda: _dead(started), timeout_s=WITHIN_S)


def _at_least(count: int, state: Path, owner: subprocess.Popen[bytes]) -> None:
    assert owner.poll() is None
    recorded = [pid for folder in state.glob("cluster-*") for pid in recorded_pids(folder)]
    if len(recorded) < count:
        raise NotYet(f"{len(recorded)} processes are recorded")


def _dead(processes: list[psutil.Process]) -> None:
    for process in processes:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            raise NotYet(f"{process} still runs")


def _folders(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir() if path.is_dir())
