"""A service is started, watched, killed and started again, by whichever thread, and ends with its block."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from graders.faults import InfraFault
from graders.ownership import OwnedFolder, recorded_pids
from graders.polling import NotYet, wait_for
from graders.services import Service, ServiceDied, ServiceSpec, log_tail

WITHIN_S = 30.0
Make = Callable[..., Service]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnedFolder]:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    with OwnedFolder("services") as folder:
        yield folder


@pytest.fixture
def make(folder: OwnedFolder) -> Iterator[Make]:
    """Makes a service from a shell script; all are killed in the end."""
    made: list[Service] = []

    def make(script: str, **fields: Any) -> Service:
        spec = ServiceSpec("thing", ["sh", "-c", script], folder.path, folder.path / "thing.log", **fields)
        made.append(Service(spec, folder))
        return made[-1]

    yield make
    for service in made:
        service.close()


def logged(service: Service, text: str, times: int = 1) -> None:
    def probe() -> None:
        if service.log_tail(100).count(text) < times:
            raise NotYet(service.log_tail())

    wait_for(probe, timeout_s=WITHIN_S)


def dead(pid: int | None) -> bool:
    assert pid is not None
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_runs_in_its_folder_with_that_as_home_and_its_own_environment(
    make: Make, folder: OwnedFolder
) -> None:
    service = make('echo "$(pwd) $HOME $WORD $SECRET"; sleep 600', environment={"WORD": "given"})
    os.environ["SECRET"] = "inherited"
    try:
        service.start()
    finally:
        del os.environ["SECRET"]

    logged(service, f"{folder.path} {folder.path} given ")
    assert "inherited" not in service.log_tail()


def test_before_its_start_it_is_not_alive_and_has_no_log(make: Make) -> None:
    service = make("sleep 600")

    assert (service.alive, service.pid, service.log_tail()) == (False, None, "(no log)")
    service.kill()
    with pytest.raises(ServiceDied, match="thing was not started"):
        service.check_alive()


def test_it_is_recorded_for_the_sweep(make: Make, folder: OwnedFolder) -> None:
    service = make("exec sleep 600")
    service.start()

    assert recorded_pids(folder.path) == [service.pid]


def test_to_start_it_while_it_runs_changes_nothing(make: Make) -> None:
    service = make("exec sleep 600")
    service.start()
    first = service.pid
    service.start()

    assert service.pid == first


def test_a_killed_one_is_dead_with_all_its_group(make: Make) -> None:
    service = make("trap '' TERM; sleep 600 & echo child $!; wait")
    service.start()
    logged(service, "child ")
    child = int(service.log_tail().split()[-1])
    service.kill()

    assert not service.alive
    assert dead(service.pid)
    wait_for(lambda: _gone(child), timeout_s=WITHIN_S)


def test_the_children_of_one_that_ended_by_itself_go_before_it_starts_anew(make: Make) -> None:
    service = make("sleep 600 & echo child $!; exit 3")
    service.start()
    with pytest.raises(ServiceDied, match="thing ended with code 3"):
        wait_for(lambda: _alive(service), timeout_s=WITHIN_S)
    child = int(service.log_tail().split()[-1])
    service.start()

    wait_for(lambda: _gone(child), timeout_s=WITHIN_S)


def test_one_that_is_killed_and_started_again_goes_on_in_the_same_log(make: Make) -> None:
    service = make("echo up; exec sleep 600")
    service.start()
    logged(service, "up")
    first = service.pid
    service.restart()

    logged(service, "up", times=2)
    assert service.alive
    assert service.pid != first


def test_one_that_is_stopped_may_clean_up(make: Make) -> None:
    service = make("trap 'echo cleaned up; exit 0' TERM; echo up; while :; do sleep 0.01; done")
    service.start()
    logged(service, "up")
    service.stop(WITHIN_S)

    assert not service.alive
    assert service.log_tail().splitlines()[-1] == "cleaned up"


def test_one_that_does_not_stop_is_killed(make: Make) -> None:
    service = make("trap '' TERM; echo up; while :; do sleep 0.01; done")
    service.start()
    logged(service, "up")
    service.stop(0.05)

    assert not service.alive


def test_it_is_ready_when_its_probe_says_so(make: Make, folder: OwnedFolder) -> None:
    def ready() -> None:
        if not (folder.path / "ready").exists():
            raise NotYet("there is no file yet")

    service = make("touch ready; exec sleep 600", ready=ready)
    service.start()
    service.wait_ready(WITHIN_S)

    assert (folder.path / "ready").exists()


def test_one_that_does_not_get_ready_says_what_was_missing_and_the_end_of_its_log(make: Make) -> None:
    def never() -> None:
        raise NotYet("there is no file yet")

    service = make("echo complaint; exec sleep 600", ready=never)
    service.start()
    logged(service, "complaint")
    with pytest.raises(InfraFault, match=r"not ready within 0 s: there is no file yet\ncomplaint"):
        service.wait_ready(0.0)


def test_one_that_dies_before_it_is_ready_is_not_waited_for(make: Make) -> None:
    def never() -> None:
        raise NotYet("there is no file yet")

    service = make("echo panic; exit 7", ready=never)
    service.start()
    with pytest.raises(ServiceDied, match=r"thing ended with code 7:\npanic") as died:
        service.wait_ready(WITHIN_S)
    assert "kubeproof doctor" in died.value.fix


def test_lines_go_to_whoever_takes_them_and_the_rest_to_the_log(make: Make) -> None:
    lines: list[bytes] = []
    service = make("echo one; echo two; echo words >&2; exec sleep 600", on_line=lines.append)
    service.start()
    logged(service, "words")
    service.kill()

    assert lines == [b"one", b"two"]
    assert service.log_tail() == "words"


def test_lines_go_on_after_a_restart_and_half_a_line_is_none(make: Make) -> None:
    lines: list[bytes] = []
    service = make("echo whole; printf half; echo words >&2; exec sleep 600", on_line=lines.append)
    for turn in (1, 2):
        service.start()
        logged(service, "words", times=turn)
        service.kill()

    assert lines == [b"whole", b"whole"]


def test_whoever_takes_the_lines_may_kill_it(make: Make) -> None:
    killed = threading.Event()

    def kill(_line: bytes) -> None:
        service.kill()
        killed.set()

    service = make("echo one; exec sleep 600", on_line=kill)
    service.start()

    assert killed.wait(WITHIN_S)
    assert not service.alive


def test_many_threads_that_restart_it_leave_one_process(make: Make, folder: OwnedFolder) -> None:
    service = make("exec sleep 600")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(service.restart) for _ in range(16)]:
            done.result()

    assert recorded_pids(folder.path) == [service.pid]


def test_it_may_be_started_by_another_command_once(make: Make) -> None:
    service = make("echo usual; exec sleep 600")
    service.start([sys.executable, "-c", "print('other', flush=True); import time; time.sleep(600)"])
    logged(service, "other")
    service.restart()

    logged(service, "usual")


def test_it_ends_with_its_block_and_starts_no_more(make: Make) -> None:
    with make("exec sleep 600") as service:
        service.start()

    assert dead(service.pid)
    with pytest.raises(InfraFault, match="thing belongs to something that has ended"):
        service.start()


def test_a_signal_from_elsewhere_shows(make: Make) -> None:
    service = make("exec sleep 600")
    service.start()
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)

    with pytest.raises(ServiceDied, match="ended with code -9"):
        wait_for(lambda: _alive(service), timeout_s=WITHIN_S)


def test_of_a_long_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * (1 << 20) + "\none\ntwo\n")

    assert log_tail(log, 2) == "one\ntwo"
    assert len(log_tail(log)) <= 1 << 16


def test_of_many_lines_all_that_were_asked_for_are_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number:0200}\n" for number in range(2000)))

    assert len(log_tail(log, 1500).splitlines()) == 1500


def _alive(service: Service) -> None:
    service.check_alive()
    raise NotYet("it lives")


def _gone(pid: int) -> None:
    if not dead(pid):
        raise NotYet(f"process {pid} still runs")
