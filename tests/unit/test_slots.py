"""How many gradings run on a machine at once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from graders.faults import UsageError
from graders.progress import Silent
from graders.slots import AT_ONCE, capacity, grading_slot

HOLD = """
import sys
from graders.progress import Silent
from graders.slots import grading_slot
with grading_slot(Silent()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_machine_has_room_for_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AT_ONCE, raising=False)
    assert capacity() >= 1


@pytest.mark.parametrize("given", ["0", "two", "-1", "1.5"])
def test_a_number_that_is_none_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AT_ONCE, given)
    with pytest.raises(UsageError, match=rf"{AT_ONCE}={given} is no whole number from 1 up"):
        capacity()


def test_whoever_finds_no_slot_waits_until_another_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AT_ONCE, "1")
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        progress, got = Silent(), threading.Event()

        def grade() -> None:
            with grading_slot(progress):
                got.set()

        waiting = threading.Thread(target=grade)
        waiting.start()
        assert not got.wait(0.5)
        assert progress.said == ["waiting for 1 other grading on this machine"]
        other.kill()
        assert got.wait(10)
        waiting.join()


def test_as_many_as_there_is_room_for_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AT_ONCE, "2")
    progress = Silent()
    with grading_slot(progress), grading_slot(progress):
        pass
    assert progress.said == []
