"""Ctrl-C at any moment: everything this process started is gone before it is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

import psutil

from graders.ownership import release_all
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import start_nothing_more

_GONE_WITHIN_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def clean_up_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP remove clusters, sandboxes and folders, then end the process.

    Unwinding a dozen threads that wait for a cluster would take as long as they wait; so nothing is
    unwound: children are killed and folders removed here, and those threads can start nothing more.
    """
    for number in _SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    words = f"{show_cursor}\nstopped by {signal.Signals(number).name}: removing what was started\n"
    with contextlib.suppress(OSError):
        # Not through `sys.stderr`, in the middle of whose own write we may be.
        os.write(2, words.encode())
    try:
        start_nothing_more()
        _kill_children()
        release_all()
    finally:
        os._exit(128 + number)


def _kill_children() -> None:
    """Kill what we started and what that started, and wait a moment until it is gone."""

    def gone() -> None:
        for child in psutil.Process().children():
            # The group first: a sandbox that just comes to life has parts that no other way leads to.
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        alive = 0
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # A zombie waits only for whoever reaps it.
                alive += process.status() != psutil.STATUS_ZOMBIE
                process.kill()
        if alive:
            raise NotYet(f"{alive} processes still run")

    with contextlib.suppress(TimedOut):
        wait_for(gone, timeout_s=_GONE_WITHIN_S)
