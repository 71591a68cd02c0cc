"""Nothing of a caller's surroundings decides what a command says: run for real, in a process of its own."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from graders import paths
from graders.cli.results import results_in
from graders.faults import InfraFault, UsageError, machine_fault
from graders.kube.client import Kube
from graders.paths import REPOSITORY
from graders.progress import Silent, Task
from tests.unit.essay_record import COURSE, essay_record

pytestmark = pytest.mark.processes

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "COLUMNS": "60"}
PROXIES = {
    name: value
    for upper, value in (("HTTPS_PROXY", "http://127.0.0.1:9"), ("ALL_PROXY", "socks5://127.0.0.1:9"))
    for name in (upper, upper.lower())
}
NAME = "Zoë 李"


def run(
    code: str, folder: Path, *, without: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a line of shell; `$KUBEPROOF` is the command."""
    environment = {name: value for name, value in os.environ.items() if name not in (*without, "PYTHONUTF8")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "KUBEPROOF_STATE": str(folder / "state"), **more}
    environment["KUBEPROOF"] = f"{sys.executable} -m graders"
    environment["COURSE"] = str(COURSE)
    return subprocess.run(
        ["bash", "-c", code], cwd=folder, env=environment,
        capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A recorded essay of somebody whose name ASCII has no letters for."""
    return essay_record(tmp_path / "bundle", learner=NAME)


GOOD = "exec $KUBEPROOF --course $COURSE judge bundle --out out"
BAD = {**PROXIES, **ASCII, "HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere", "TERM": "dumb"}


def judged(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """It ended as it would anywhere."""
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    report = json.loads((folder / "out" / "report.json").read_text("utf-8"))
    assert (report["percent"], report["submission"]["learner_id"]) == (100, NAME)


def test_bad_surroundings_change_no_result(bundle: Path, tmp_path: Path) -> None:
    """Umask, proxies, locale, home, temporary folder, terminal and standard input, all at once."""
    done = run(f"umask 077; {GOOD} <&-", tmp_path, **BAD)
    judged(done, tmp_path)
    # The screen has no letters for the name, so it gets replacements; files are in UTF-8.
    assert done.stdout.isascii()
    assert "Zo? ?" in done.stdout
    assert NAME in (tmp_path / "out" / "report.html").read_text("utf-8")
    # Results stay as private as the caller wants them.
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param("<&- >&- 2>&-", id="none"),
        pytest.param("2>&1 | true; exit ${PIPESTATUS[0]}", id="a reader who left"),
        pytest.param("--json | true; exit ${PIPESTATUS[0]}", id="a reader of JSON who left"),
    ],
)
def test_whoever_reads_changes_no_result(bundle: Path, tmp_path: Path, streams: str) -> None:
    judged(run(f"{GOOD} {streams}", tmp_path, without=("HOME",)), tmp_path)


def test_an_argument_is_read_as_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    code = f"exec $KUBEPROOF grade lab1 '{NAME}' --learner '{NAME}' --out '{NAME}/x'"
    done = run(code, tmp_path, **ASCII)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    report = json.loads((tmp_path / NAME / "x" / "report.json").read_text("utf-8"))
    assert report["submission"]["learner_id"] == NAME


def test_a_full_disk_below_the_output_is_no_low_score(bundle: Path, tmp_path: Path) -> None:
    done = run(GOOD + " >/dev/full", tmp_path)
    assert done.returncode == 3
    assert "this machine failed: [Errno 28] No space left on device" in done.stderr
    assert "fix: free some space" in done.stderr


def test_a_bug_of_ours_is_no_low_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from graders import cli

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(cli, "clean_up_on_signals", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


# --- folders -----------------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_made_is_said_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InfraFault, match="cannot be made: Not a directory") as said:
        paths.cache_folder()
    assert "set HOME or KUBEPROOF_CACHE" in said.value.fix


def test_a_user_without_a_home_has_no_cache_called_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEPROOF_CACHE", raising=False)
    monkeypatch.setattr(paths.platformdirs, "user_cache_path", lambda _: Path("~/.cache/kubeproof"))
    with pytest.raises(InfraFault, match="HOME is not set"):
        paths.cache_folder()


def test_a_state_folder_that_cannot_be_made_is_said_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "file" / "state"))
    with pytest.raises(InfraFault, match="no folder for what a run needs") as said:
        paths.state_folder()
    assert "set TMPDIR or KUBEPROOF_STATE" in said.value.fix


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EROFS, errno.ENOMEM])
def test_what_a_machine_runs_out_of_is_no_bug(number: int) -> None:
    wrapped = RuntimeError("while writing")
    wrapped.__cause__ = OSError(number, os.strerror(number))
    fault = machine_fault(wrapped)
    assert fault is not None
    assert os.strerror(number) in fault.problem
    assert fault.fix
    assert machine_fault(ValueError()) is None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "none")) is None


def test_a_disk_without_room_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.require_room(tmp_path)
    monkeypatch.setattr(paths.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    with pytest.raises(InfraFault, match="has 3 MiB free, and a run needs 128") as said:
        paths.require_room(tmp_path)
    assert "TMPDIR or KUBEPROOF_STATE" in said.value.fix


# --- results -----------------------------------------------------------------------------------------


class Telling(Silent):
    """Rings at the first task."""

    def __init__(self) -> None:
        super().__init__()
        self.rang = threading.Event()

    @contextmanager
    def task(self, text: str, total: float | None = None) -> Iterator[Task]:
        self.rang.set()
        with super().task(text, total) as task:
            yield task


def test_the_second_of_two_gradings_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    progress, entered = Telling(), threading.Event()

    def second() -> None:
        with results_in(tmp_path / "out", progress):
            entered.set()

    with results_in(tmp_path / "out", Silent()):
        thread = threading.Thread(target=second)
        thread.start()
        assert progress.rang.wait(30)
        assert not entered.is_set()
        assert list((tmp_path / "out").iterdir()) == []
    thread.join(30)
    assert entered.is_set()
    assert progress.said == [f"waiting for another kubeproof, which writes its results to {tmp_path / 'out'}"]


def test_where_a_file_system_has_no_locks_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with results_in(tmp_path / "out", Silent()):
        assert (tmp_path / "out").is_dir()


def test_nothing_is_left_where_nothing_came_of_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError), results_in(tmp_path / "out" / "lab1", Silent()):
        raise UsageError("what was asked for cannot be")
    assert list(tmp_path.iterdir()) == []


def test_results_that_would_lie_in_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with (
        pytest.raises(UsageError, match="cannot be written here: File exists"),
        results_in(tmp_path / "out", Silent()),
    ):
        pass


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (f"history {'a' * 300}", "kubeproof: File name too long: '/"),
        ("rescore class.db --dry-run", "kubeproof: the folder that you are in is no longer there\n  fix: cd"),
    ],
)
def test_a_path_that_cannot_be_is_no_bug_of_ours(tmp_path: Path, typed: str, told: str) -> None:
    gone = "mkdir gone && cd gone && rmdir ../gone && " if "rescore" in typed else ""
    ended = run(f"{gone}$KUBEPROOF {typed}", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(told)


def test_completion_that_is_offered_completes(tmp_path: Path) -> None:
    ended = run(
        "COMP_WORDS='kubeproof resc' COMP_CWORD=1 _KUBEPROOF_COMPLETE=complete_bash "
        "python3 -c 'import sys; sys.argv = [\"kubeproof\"]; from graders.cli import main; main()'",
        tmp_path,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    assert ended.stdout.split() == ["rescore"], ended.stderr


# --- proxies -----------------------------------------------------------------------------------------


def kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "config"
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
    }  # fmt: skip
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"])
def test_an_api_server_of_this_machine_is_reached_past_every_proxy(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    assert Kube(kubeconfig(tmp_path, server)).http_proxy == ""


def test_an_api_server_elsewhere_is_reached_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert Kube(kubeconfig(tmp_path, "https://api.example.org")).http_proxy == "http://127.0.0.1:9"
    monkeypatch.setenv("no_proxy", ".example.org")
    assert Kube(kubeconfig(tmp_path, "https://api.example.org")).http_proxy == ""


@pytest.mark.parametrize(
    ("given", "become"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a.org"}, "a.org,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a.org", "no_proxy": "b.org, a.org"}, "a.org,b.org,localhost,127.0.0.1,::1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1,localhost,::1"),
    ],
)
def test_programs_that_we_start_reach_this_machine_past_every_proxy(
    given: Mapping[str, str], become: str, tmp_path: Path
) -> None:
    code = "import os; from graders.surroundings import settle; settle(); "
    code += "print(os.environ['NO_PROXY'], os.environ['no_proxy'])"
    done = run(f'{sys.executable} -c "{code}"', tmp_path, without=("NO_PROXY", "no_proxy"), **given)
    assert done.stdout.split() == [become, become]
