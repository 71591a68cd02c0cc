"""What all recorders of a run share: the clock, the bundle, who is who, and the bell.

Recorders witness from outside the learner's reach and write what they see into the bundle. Each keeps the
little state that a scenario waits on, and notifies whenever something arrived, so that waiting needs no slow
polling.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from graders.evidence.manifest import ClusterInfo
from graders.evidence.records import Mark
from graders.evidence.writing import BundleWriter
from graders.model import Role


class Clock:
    """Seconds since the start of the run, on the monotonic clock."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._start = time.monotonic()
        self.wall_start = time.time()

    def now(self) -> float:
        """Seconds since the start, to the microsecond."""
        return round(time.monotonic() - self._start, 6)

    def from_wall(self, stamp: str) -> float:
        """An RFC 3339 stamp of the same machine, as seconds since the start."""
        return round(datetime.fromisoformat(stamp).timestamp() - self.wall_start, 6)


class ChangeNotifier:
    """Tells scenario waits that something was recorded; each listener has an event of its own.

    What is recorded within `TOGETHER_S` is told once, and to those alone whom it may concern: in a busy run a
    thousand records a second would else wake thirty waits each, which takes more of the processor than to
    record them.
    """

    TOGETHER_S = 0.02

    def __init__(self) -> None:
        self._listeners: dict[threading.Event, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._where: set[str] = set()
        self._recorded = threading.Event()
        self._teller: threading.Thread | None = None

    def notify(self, namespace: str = "") -> None:
        """Wake every listener that `namespace` may concern, in `TOGETHER_S` at the latest; none: all."""
        with self._lock:
            self._where.add(namespace)
            self._recorded.set()

    @contextlib.contextmanager
    def listener(self, elsewhere: Iterable[str] = ()) -> Iterator[threading.Event]:
        """An event that is set after every change while the block runs, but for those in `elsewhere`.

        Namespaces in `elsewhere` concern somebody else; whoever looks at one all the same looks by itself.
        """
        event = threading.Event()
        with self._lock:
            self._listeners[event] = frozenset(elsewhere)
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="change-notifier", daemon=True)
                self._teller.start()
        try:
            yield event
        finally:
            with self._lock:
                del self._listeners[event]

    def _tell(self) -> None:
        """Tell as long as anybody listens."""
        while True:
            self._recorded.wait(1.0)
            if self._recorded.is_set():
                with self._lock:
                    self._recorded.clear()
                    where, self._where = self._where, set()
                    for listener, elsewhere in self._listeners.items():
                        if not where <= elsewhere:
                            listener.set()
                time.sleep(self.TOGETHER_S)
            with self._lock:
                if not self._listeners:
                    self._teller = None
                    return


class Recording:
    """What all recorders share. Its clock stands at zero again when acting begins."""

    def __init__(self, writer: BundleWriter) -> None:
        self.writer = writer
        self.clock = Clock()
        self.changes = ChangeNotifier()
        self.clusters: dict[str, ClusterInfo] = {}
        self.actors: dict[str, Role] = {}

    def begin(self) -> None:
        """Set the clock to zero; nothing is on record yet."""
        self.clock.restart()

    def note_actor(self, user: str, role: Role) -> None:
        """Whose a user of an API server is; what was said first holds."""
        self.actors.setdefault(user, role)

    def mark(self, track: str, name: str, **data: Any) -> Mark:
        """Set a mark now."""
        mark = Mark(self.clock.now(), track, name, data)
        self.writer.add(mark)
        return mark


def measure(action: Callable[[], object]) -> float:
    """Seconds one call of `action` takes."""
    started = time.monotonic()
    action()
    return time.monotonic() - started
