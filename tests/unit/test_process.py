"""Programs that kubeproof starts cannot outlive it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from graders.faults import InfraFault
from graders.polling import NotYet, wait_for
from graders.process import dies_with, kill_group, printed_by, printing, run_to_end, spawn

WITHIN_S = 30.0
SLEEP = ["sleep", "600"]


def _ended(pid: int) -> None:
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
    except psutil.NoSuchProcess:
        return
    raise NotYet(f"process {pid} still runs")


def test_the_program_gets_the_given_environment_and_folder(tmp_path: Path) -> None:
    process = spawn(
        ["sh", "-c", "echo $WORD; pwd"],
        environment={"WORD": "given", "PATH": os.environ["PATH"]},
        folder=tmp_path,
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=WITHIN_S)

    assert output.decode().splitlines() == ["given", str(tmp_path)]
    assert process.returncode == 0


def test_words_arrive_as_they_are_whatever_a_shell_would_make_of_them() -> None:
    words = ["a b", "$HOME", "`id`", "*", "", "-c", "'\"\\", "new\nline"]
    program = "import sys; sys.stdout.write('|'.join(sys.argv[1:]))"
    process = spawn([sys.executable, "-c", program, *words], stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=WITHIN_S)

    assert output.decode() == "|".join(words)


def test_a_program_that_is_not_there_ends_with_127() -> None:
    process = spawn(["/nowhere/to/be/found"])

    assert process.wait(WITHIN_S) == 127


def test_the_pid_is_the_programs_own_and_leads_a_session() -> None:
    process = spawn(SLEEP)
    try:
        wait_for(lambda: _is_named(process.pid, "sleep"), timeout_s=WITHIN_S)
        assert os.getsid(process.pid) == process.pid
    finally:
        kill_group(process)


def test_it_outlives_the_thread_that_asked_for_it() -> None:
    """The kernel counts the death of the forking thread as the death of the parent."""
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(spawn(SLEEP)))
    thread.start()
    thread.join()
    (process,) = started
    try:
        wait_for(lambda: _is_named(process.pid, "sleep"), timeout_s=WITHIN_S)
        assert process.poll() is None
    finally:
        kill_group(process)


def test_it_dies_with_the_process_that_started_it_even_by_sigkill() -> None:
    program = (
        "import time\n"
        "from graders.process import spawn\n"
        "print(spawn(['sleep', '600']).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(lambda: _is_named(child, "sleep"), timeout_s=WITHIN_S)
        parent.kill()

    wait_for(lambda: _ended(child), timeout_s=WITHIN_S)


def test_it_does_not_even_start_when_its_parent_has_died_before_it_looked(tmp_path: Path) -> None:
    """A parent that is gone already sends no signal; here it is somebody else who is its parent."""
    sign = tmp_path / "ran"

    stranger = subprocess.run(dies_with(1 << 30, ["touch", sign]), check=False)
    own = subprocess.run(dies_with(os.getpid(), ["touch", f"{sign}-too"]), check=False)

    assert (stranger.returncode, own.returncode) == (1, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["ran-too"]


def test_killing_takes_the_children_too_and_is_quiet_the_second_time() -> None:
    process = spawn(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        child = int(process.stdout.readline())

    kill_group(process)
    kill_group(process)

    assert process.returncode == -9
    wait_for(lambda: _ended(child), timeout_s=WITHIN_S)


def test_a_folder_that_is_not_there_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        spawn(SLEEP, folder=tmp_path / "missing")


def _is_named(pid: int, name: str) -> None:
    if (found := psutil.Process(pid).name()) != name:
        raise NotYet(f"process {pid} is {found}")


def test_what_a_program_printed_is_given_once_it_has_ended_well() -> None:
    assert printed_by(["sh", "-c", "echo out; echo err >&2"], "a program") == "out\n"


def test_a_program_that_fails_is_named_with_its_last_words() -> None:
    with pytest.raises(InfraFault, match=r"^a program failed: no room$"):
        printed_by(["sh", "-c", "echo no room >&2; exit 3"], "a program")


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(InfraFault, match=r"^a program did not end within 0 s$"):
        printed_by(["sleep", "600"], "a program", timeout_s=0.1)


def test_lines_come_as_they_are_printed_whichever_way() -> None:
    script = "echo out; echo ' err' >&2; printf '\\377last'; exit 3"
    with printing(["sh", "-c", script]) as (process, lines):
        assert list(lines) == ["out", " err", "\ufffdlast"]
        assert process.wait(WITHIN_S) == 3


def test_lines_of_errors_alone_where_the_rest_goes_elsewhere(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo out; echo err >&2"]
    with (tmp_path / "out").open("wb") as out, printing(command, stdout=out) as (process, lines):
        assert list(lines) == ["err"]
        assert process.wait(WITHIN_S) == 0
    assert (tmp_path / "out").read_text() == "out\n"


def test_who_stops_listening_ends_the_program() -> None:
    with printing(["sh", "-c", "echo one; exec sleep 600"]) as (process, lines):
        assert next(lines) == "one"
    wait_for(lambda: _ended(process.pid), timeout_s=WITHIN_S)


def test_a_run_to_the_end_tells_how_it_ended_and_what_was_printed(tmp_path: Path) -> None:
    script = "pwd; echo $WORD >&2; exit 4"
    environment = {"WORD": "given", "PATH": os.environ["PATH"]}
    found = run_to_end(["sh", "-c", script], environment=environment, folder=tmp_path)
    assert found == (4, f"{tmp_path}\n".encode(), b"given\n")


def test_a_run_that_does_not_end_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(subprocess.TimeoutExpired):
        run_to_end(["sh", "-c", f"echo $$ >{pid}; exec sleep 600"], timeout_s=1.0)
    wait_for(lambda: _ended(int(pid.read_text())), timeout_s=WITHIN_S)
