"""Ctrl-C at any moment: everything this process started is gone before it is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

import psutil

from graders.ownership import release_all, sweep
from graders.polling import NotYet, TimedOut, wait_for

_GONE_WITHIN_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def clean_up_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP remove clusters, sandboxes and folders, then end the process.

    Unwinding a dozen threads that wait for a cluster would take as long as they wait; so nothing is
    unwound: children are killed and folders removed here, and whatever those threads start meanwhile
    dies with us by the parent-death signal.
    """
    for number in _SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{show_cursor}\nstopped by {signal.Signals(number).name}: removing what was started\n")
    sys.stderr.flush()
    try:
        _kill_children()
        release_all()
        # A thread may have written into a folder while it was being removed.
        sweep()
    finally:
        os._exit(128 + number)


def _kill_children() -> None:
    """Kill what we started and what that started, and wait a moment until it is gone."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()

    def gone() -> None:
        for child in children:
            with contextlib.suppress(psutil.Error):
                # A zombie waits only for whoever reaps it.
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                    raise NotYet(f"process {child.pid} still runs")

    with contextlib.suppress(TimedOut):
        wait_for(gone, timeout_s=_GONE_WITHIN_S)
