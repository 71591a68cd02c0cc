"""Ctrl-C at any moment: everything this process started is gone before it is."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import psutil

from graders.ownership import release_all
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import start_nothing_more

_GONE_WITHIN_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_first: list[Callable[[], object]] = []


def clean_up_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP remove clusters, sandboxes and folders, then end the process.

    Unwinding a dozen threads that wait for a cluster would take as long as they wait; so nothing is
    unwound: children are killed and folders removed, and those threads can start nothing more. A thread
    of its own does it: Python runs handlers in the main thread only, and a signal that comes just before
    that thread falls asleep on a lock would wait for ever.
    """
    arrived, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _stand_still)
    threading.Thread(target=_end, args=(arrived,), name="interrupt", daemon=True).start()


@contextlib.contextmanager
def done_before_the_end(action: Callable[[], object]) -> Iterator[None]:
    """A signal during the block runs `action`, in another thread, before our children are killed."""
    _first.append(action)
    try:
        yield
    finally:
        _first.remove(action)


def _stand_still(number: int, frame: FrameType | None) -> None:
    """Keep the main thread from telling what it sees when things vanish under it."""
    del number, frame
    threading.Event().wait()


def _end(arrived: int) -> None:
    number = 0
    while number not in _SIGNALS:
        # Signals somebody else handles wake us too.
        number = os.read(arrived, 1)[0]
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    words = f"{show_cursor}\nstopped by {signal.Signals(number).name}: removing what was started\n"
    with contextlib.suppress(OSError):
        # Not through `sys.stderr`, in the middle of whose own write the main thread may be.
        os.write(2, words.encode())
    # Nor do other threads tell: they go on, and files and processes vanish under them.
    threading.excepthook = lambda _: None
    try:
        start_nothing_more()
        for action in reversed(_first):
            with contextlib.suppress(Exception):
                action()
        _kill_children()
        for why in release_all():
            with contextlib.suppress(OSError):
                os.write(2, f"{why}\n  fix: `kubeproof cluster sweep` tries again\n".encode())
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
