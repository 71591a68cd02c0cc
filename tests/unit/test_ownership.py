"""Owned folders: locked while their owner lives, swept when it is dead, with what was recorded in them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from graders import ownership
from graders.ownership import (
    AlreadyOwned,
    NotUndone,
    OwnedFolder,
    has_owner,
    owned_folders,
    recorded_pids,
    start_of,
    sweep,
)
from graders.polling import NotYet, wait_for
from tests.unit.ending import ended

WITHIN_S = 30.0


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("KUBEPROOF_STATE", str(folder))
    return folder


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def _folders(state: Path) -> list[str]:
    return [path.name for path in sorted(state.iterdir()) if path.is_dir()]


def _dead_owner(program: str = "") -> str:
    """A folder whose owner was killed; gives its name."""
    lines = (
        "import os, sys",
        "from graders.ownership import OwnedFolder",
        "owned = OwnedFolder('cluster', 'dead')",
        "print(owned.path.name, flush=True)",
        program,
        "os.kill(os.getpid(), 9)",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -9
    return ended.stdout.decode().strip()


@pytest.fixture
def undoing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an undoer of folders of kind `changes` says; the folder is kept while it says something."""
    says = ["the cluster does not answer"]

    def undo(folder: Path) -> None:
        if says:
            raise NotUndone(says[0])

    module = SimpleNamespace(undo=undo)
    monkeypatch.setitem(sys.modules, "undoer_of_changes", module)
    monkeypatch.setitem(ownership._UNDOERS, "changes", "undoer_of_changes:undo")  # type: ignore[arg-type]
    return says


def test_what_cannot_be_undone_keeps_its_folder_until_it_can(state: Path, undoing: list[str]) -> None:
    assert OwnedFolder("changes").close() == "the cluster does not answer"
    (left,) = _folders(state)
    told: list[str] = []
    assert sweep(told.append) == []
    assert told == [f"{left}: the cluster does not answer"]
    assert _folders(state) == [left]

    undoing.clear()
    assert sweep(told.append) == [left]
    assert len(told) == 1
    assert _folders(state) == []


def test_what_cannot_be_undone_keeps_nobody_else_from_being_swept(state: Path, undoing: list[str]) -> None:
    OwnedFolder("changes").close()
    dead = _dead_owner()
    assert sweep() == [dead]
    assert len(_folders(state)) == 1


def test_a_folder_is_private_named_after_its_purpose_and_gone_at_the_end(state: Path) -> None:
    with OwnedFolder("cluster", "grading") as owned:
        assert owned.path.parent == state
        assert owned.path.name.startswith("cluster-grading-")
        assert owned.path.stat().st_mode & 0o777 == 0o700
        assert has_owner(owned.path)

    assert _folders(state) == []


def test_closing_kills_what_was_recorded(sleeper: subprocess.Popen[bytes]) -> None:
    with OwnedFolder("cluster") as owned:
        owned.record(sleeper.pid)
        assert recorded_pids(owned.path) == [sleeper.pid]

    assert sleeper.wait(WITHIN_S) == -9


def test_a_process_that_has_ended_is_not_worth_a_record() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait(WITHIN_S)
    with OwnedFolder("cluster") as owned:
        owned.record(ended.pid)
        assert recorded_pids(owned.path) == []


def test_a_recycled_pid_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """The record is of a process that had this pid and started at another time."""
    with OwnedFolder("cluster") as owned:
        owned.record(sleeper.pid)
        record = owned.path / "processes" / str(sleeper.pid)
        boot, ticks = record.read_text().split()
        record.write_text(f"{boot} {int(ticks) - 1}")
        assert recorded_pids(owned.path) == []

    assert sleeper.poll() is None


@pytest.mark.parametrize("record", ["nonsense", "-1", "0", "99999999999999999999", "1.5"])
def test_a_record_that_is_no_pid_is_nobodys(record: str, state: Path) -> None:
    owned = OwnedFolder("cluster")
    (owned.path / "processes" / record).write_text("nonsense")
    assert recorded_pids(owned.path) == []
    owned.close()
    assert _folders(state) == []


def test_the_start_of_a_process_names_it_for_good(sleeper: subprocess.Popen[bytes]) -> None:
    assert start_of(sleeper.pid) == start_of(sleeper.pid)
    assert start_of(sleeper.pid) != start_of(1)
    with pytest.raises(ProcessLookupError):
        start_of(1 << 30)


def test_a_program_cannot_forge_its_start_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        wait_for(lambda: _runs_as(process.pid, program.name), timeout_s=WITHIN_S)
        boot, ticks = start_of(process.pid).split()
        process.kill()

    assert int(ticks) > int(start_of(1).split()[1])
    assert boot == start_of(os.getpid()).split()[0]


def test_a_sweep_removes_what_dead_owners_left_and_says_what(state: Path) -> None:
    with OwnedFolder("cluster", "alive") as alive:
        dead = _dead_owner("(owned.path / 'etcd').mkdir()")

        assert sweep() == [dead]
        assert _folders(state) == [alive.path.name]
        assert sweep() == []


def test_a_sweep_kills_what_a_dead_owner_recorded(state: Path) -> None:
    orphan = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL, start_new_session=True)\n"
        "owned.record(child.pid)"
    )
    name = _dead_owner(orphan)
    (pid,) = recorded_pids(state / name)

    sweep()

    assert ended(pid)


def test_a_sweep_touches_neither_files_nor_what_links_point_to(state: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sweep()
    (state / "note").write_text("kept")
    (state / "link").symlink_to(elsewhere)

    assert sweep() == []
    assert elsewhere.is_dir()
    assert (state / "note").read_text() == "kept"


def test_a_name_can_be_owned_once_at_a_time() -> None:
    with OwnedFolder("daemon", "demo", alone=True), pytest.raises(AlreadyOwned, match="daemon-demo"):
        OwnedFolder("daemon", "demo", alone=True)

    OwnedFolder("daemon", "demo", alone=True).close()


def test_names_that_begin_alike_are_different_names() -> None:
    with (
        OwnedFolder("daemon", "demo-two", alone=True) as two,
        OwnedFolder("daemon", "demo", alone=True) as one,
    ):
        assert list(owned_folders("daemon-demo")) == [one.path]
        assert list(owned_folders("daemon-demo-two")) == [two.path]


def test_a_name_is_free_again_when_its_owner_was_killed() -> None:
    _dead_owner()

    with OwnedFolder("cluster", "dead", alone=True) as owned:
        assert has_owner(owned.path)


def test_a_folder_whose_owner_stands_still_half_way_through_its_end_is_closed_all_the_same(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, begun, go_on = ownership.remove_unowned, threading.Event(), threading.Event()

    def stopped(folder: Path) -> None:
        begun.set()
        go_on.wait(60)
        remove(folder)

    owned = OwnedFolder("run")
    with monkeypatch.context() as patch:
        patch.setattr(ownership, "remove_unowned", stopped)
        owner = threading.Thread(target=owned.close)
        owner.start()
        assert begun.wait(10)
    assert owned.path.is_dir()
    assert ownership.release_all() == []
    assert not owned.path.exists()
    go_on.set()
    owner.join(10)
    assert not owned.path.exists()


def test_an_end_that_cannot_unwind_closes_every_folder_and_reaps_what_it_killed(state: Path) -> None:
    program = """
import os, subprocess
from graders.ownership import OwnedFolder, release_all
for name in ("first", "second", "third"):
    child = subprocess.Popen(["sleep", "600"])
    OwnedFolder(name).record(child.pid)
release_all()
release_all()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child is left")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], stdout=subprocess.PIPE, check=True)

    assert done.stdout == b"no child is left\n"
    assert _folders(state) == []


def _runs_as(pid: int, name: str) -> None:
    if (found := Path(f"/proc/{pid}/comm").read_text().strip()) != name:
        raise NotYet(f"process {pid} is {found!r}")
