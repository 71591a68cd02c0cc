"""Runs the real command in a process of its own, and finds out what it left behind.

The command is started by a small witness that the kernel makes the parent of every orphan: whatever
outlives the command becomes the witness's child, however deep it was started, and is counted there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "solutions" / "lab1" / "reference"

_WITNESS = """
import ctypes, json, os, signal, subprocess, sys, time
import psutil
report, within, *command = sys.argv[1:]
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
def begin():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
process = subprocess.Popen(command, preexec_fn=begin)
print(process.pid, flush=True)
def alive():
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append([child.pid, child.name(), " ".join(child.cmdline())[:200]])
        except psutil.NoSuchProcess:
            pass
    return found
# Not process.wait(): what is left right at the end has to be seen right at the end.
os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
at_once, deadline = alive(), time.monotonic() + float(within)
left = at_once
while left and time.monotonic() < deadline:
    time.sleep(0.05)
    left = alive()
code = process.wait()
json.dump({"code": code, "at_once": at_once, "left": left}, open(report, "w"))
for pid, *_ in left:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended; `left` are processes that outlived it by the time allowed, `at_once` by none."""

    code: int
    out: str
    err: str
    at_once: list[list[Any]]
    left: list[list[Any]]
    state: Path
    folder: Path

    @property
    def said(self) -> str:
        """Everything it printed, with line breaks as spaces."""
        return " ".join((self.out + self.err).split())

    @property
    def report(self) -> dict[str, Any]:
        """What report.json says."""
        data: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return data

    @property
    def html(self) -> str:
        """The page."""
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def outcome(self, check: str) -> dict[str, Any]:
        """The outcome of one check; fails where there is none."""
        return next(each for each in self.report["outcomes"] if each["check"] == check)

    def log(self) -> str:
        """What the operator's processes printed, as the bundle has it."""
        logs = sorted((self.folder / "bundle" / "logs").glob("*.log"))
        return "\n".join(path.read_text("utf-8", "replace") for path in logs)

    def folders_left(self) -> list[str]:
        """What is in the state folder, the lock for sweeping aside."""
        return sorted(path.name for path in self.state.iterdir() if not path.name.startswith("."))


class Running:
    """A command that runs; `lines` grows as it speaks on standard error."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        folder: Path,
        *,
        within_s: float = 2.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # Beside the folder, which may be given for results: then nothing else may be in it.
        own = folder.with_name(f"{folder.name}-run")
        own.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state = own / "state"
        self.lines: list[str] = []
        self._out: list[str] = []
        self._spoke = threading.Condition()
        self._witness = own / "witness.json"
        command = [sys.executable, "-m", "graders", *(os.fspath(each) for each in arguments)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WITNESS, os.fspath(self._witness), str(within_s), *command],
            cwd=ROOT,
            env={
                **os.environ,
                "KUBEPROOF_STATE": os.fspath(self.state),
                "COLUMNS": "160",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.pid = int(self._process.stdout.readline())
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._out), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self.lines), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_line(self, holds: Callable[[str], bool], timeout_s: float = 120.0) -> bool:
        """Wait until a line on standard error holds; False when the command ended without one."""
        deadline = time.monotonic() + timeout_s
        with self._spoke:
            while not any(holds(line) for line in self.lines):
                if not self._readers[1].is_alive() or time.monotonic() > deadline:
                    return False
                self._spoke.wait(0.2)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command itself."""
        os.kill(self.pid, number)

    def end(self, timeout_s: float = 240.0) -> Ended:
        """Wait for its end.

        Raises:
            AssertionError: it did not end in time; all of it is killed then.
        """
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait(30)
            raise AssertionError(f"still running after {timeout_s} s:\n" + "".join(self.lines)) from None
        for reader in self._readers:
            reader.join(10)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        seen = json.loads(self._witness.read_text(encoding="utf-8"))
        return Ended(
            seen["code"], "".join(self._out), "".join(self.lines), seen["at_once"], seen["left"],
            self.state, self.folder,
        )  # fmt: skip

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            with self._spoke:
                into.append(line)
                self._spoke.notify_all()


def grade(submission: Path, folder: Path, *more: str, timeout_s: float = 240.0) -> Ended:
    """`kubeproof grade lab1 SUBMISSION --out FOLDER …`."""
    return Running(["grade", "lab1", submission, "--out", folder, *more], folder).end(timeout_s)
