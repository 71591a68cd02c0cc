"""Ctrl-C at any moment: what was started is gone before the command is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for

STARTS_THINGS = """
import subprocess, sys, threading
from graders.interrupt import clean_up_on_signals
from graders.ownership import OwnedFolder

clean_up_on_signals()
with OwnedFolder("grade", "lab1") as folder:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    folder.record(child.pid)
    (folder.path / "evidence").write_text("x")
    for _ in range(4):
        threading.Thread(target=threading.Event().wait).start()
    print(folder.path, child.pid, flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_removes_folders_and_processes_and_ends_the_command(
    number: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KUBEPROOF_STATE": str(tmp_path / "state")}
    command = subprocess.Popen(
        [sys.executable, "-c", STARTS_THINGS],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with command:
        assert command.stdout is not None
        assert command.stderr is not None
        folder, pid = command.stdout.readline().split()
        assert (Path(folder) / "evidence").exists()
        command.send_signal(number)
        code = command.wait(60)
        said = command.stderr.read()
    assert code == 128 + number
    assert f"stopped by {number.name}: removing what was started" in said
    assert "Traceback" not in said
    assert not Path(folder).exists()

    def gone() -> None:
        if psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
            raise NotYet(f"process {pid} is still there")

    wait_for(gone, timeout_s=30)


def test_a_second_signal_does_not_stop_the_cleaning(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KUBEPROOF_STATE": str(tmp_path / "state")}
    command = subprocess.Popen(
        [sys.executable, "-c", STARTS_THINGS],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with command:
        assert command.stdout is not None
        folder, _ = command.stdout.readline().split()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            if command.poll() is None:
                command.send_signal(number)
        code = command.wait(60)
    assert code in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert not Path(folder).exists()
