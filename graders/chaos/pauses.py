"""Where an experiment waits, so that is where it can be stopped: at its deadline, or half a second in."""

import math
import threading
from collections.abc import Callable

ABORT_AFTER_S = 0.5
"""How far into the first pause after its first change an experiment is aborted."""


class Deleted(Exception):
    """The custom resource was deleted: whatever it did is undone, and nothing more is done."""


class Overdue(Exception):
    """The deadline of what was asked for has passed, or the time that a run may take."""


class Pauses:
    """The pauses of one run, which may take `timeout_s`; any thread may use it.

    With `abort`, the resource is deleted half a second into the first pause that begins after `wrote` was
    called first; `aborted` is then when, by `now`.
    """

    def __init__(self, now: Callable[[], float], timeout_s: float, *, abort: bool = False) -> None:
        self._now = now
        self._abort = abort
        self._wrote = False
        self._deleted = threading.Event()
        self._lock = threading.Lock()
        self.ends = now() + timeout_s
        self.aborted: float | None = None

    def due(self, within_s: float | None, outer: float = math.inf) -> float:
        """The deadline of what is to be over in so many seconds, but not after `outer`."""
        return min(outer, self._now() + within_s) if within_s is not None else outer

    def wrote(self) -> None:
        """Something was changed."""
        self._wrote = True

    def delete(self) -> None:
        """Delete the resource: every pause ends."""
        self._deleted.set()

    @property
    def over(self) -> threading.Event:
        """Is set when the resource is deleted."""
        return self._deleted

    @property
    def deleted(self) -> bool:
        """Whether the resource was deleted."""
        return self._deleted.is_set()

    @property
    def late(self) -> bool:
        """Whether the run took all the time that it may."""
        return self._now() >= self.ends

    def wait(self, seconds: float, due: float = math.inf) -> None:
        """Wait, but not longer than until `due`.

        Raises:
            Deleted: the resource was deleted meanwhile. Overdue: `due` has passed.
        """
        aborting = self._abort and self._wrote and seconds >= ABORT_AFTER_S
        last = min(due, self.ends)
        left_s = min(seconds, max(0.0, last - self._now()))
        if self._deleted.wait(min(left_s, ABORT_AFTER_S) if aborting else left_s):
            raise Deleted
        if aborting:
            with self._lock:
                self.aborted = self.aborted if self.aborted is not None else self._now()
            self.delete()
            raise Deleted
        if self._now() >= last:
            raise Overdue
