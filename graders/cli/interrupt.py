"""Ctrl-C at any moment: everything this process started is gone before it is."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from graders.ownership import release_all

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def clean_up_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP remove clusters, sandboxes and folders, then end the process.

    Unwinding a dozen threads that wait for a cluster would take as long as they wait; so nothing is
    unwound: children die with us by the parent-death signal, and folders are removed here.
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
        release_all()
    finally:
        os._exit(128 + number)
