"""Waiting: poll to a deadline, and keep the last mismatch so that a timeout says what was missing."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from graders.faults import InfraFault

T = TypeVar("T")


class NotYet(Exception):
    """Raised by a probe whose condition does not hold yet; its text is the mismatch."""


class TimedOut(Exception):
    """The deadline passed; `str()` is the last mismatch."""


def wait_for(
    probe: Callable[[], T],
    *,
    timeout_s: float,
    interval_s: float = 0.02,
    wake: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call `probe` until it returns instead of raising `NotYet`, and give what it returned.

    Between calls it waits `interval_s`, or less when `wake` is set by whoever knows of news.

    Raises:
        TimedOut: `timeout_s` passed; carries the last `NotYet` text.
    """
    deadline = clock() + timeout_s
    signal = wake or threading.Event()
    while True:
        signal.clear()
        try:
            return probe()
        except NotYet as mismatch:
            if clock() >= deadline:
                raise TimedOut(str(mismatch)) from mismatch
        signal.wait(interval_s)


def await_ready(
    what: str,
    probe: Callable[[], T],
    timeout_s: float,
    *,
    interval_s: float = 0.02,
    log_tail: Callable[[], str] = lambda: "",
) -> T:
    """Wait as `wait_for` does for something of the harness's own, which `what` names, to be ready.

    Raises:
        InfraFault: it was not in time; has the last mismatch, and what `log_tail` gives then.
    """
    try:
        return wait_for(probe, timeout_s=timeout_s, interval_s=interval_s)
    except TimedOut as error:
        raise InfraFault(
            f"{what} was not ready within {timeout_s:g} s: {error}\n{log_tail()}".rstrip(),
            fix="look at the machine's load with `kubeproof doctor`",
        ) from error
