"""What every track does, whatever it acts in: marks, misses, and waits that are told and on record."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from graders.evidence.recording import Recording
from graders.evidence.records import Wait
from graders.kube.client import ApiRefused
from graders.progress import Task
from graders.scenario.tracks import Missed

T = TypeVar("T")


class TrackMarks:
    """One track's own marks and waits in the record."""

    def __init__(self, track: str, recording: Recording) -> None:
        self.track = track
        self._recording = recording
        self._task: Task | None = None

    def attend(self, task: Task) -> None:
        """Tell `task` from now on what is being waited for."""
        self._task = task

    def mark(self, name: str, **data: Any) -> float:
        """Set a mark and give its time."""
        return self._recording.mark(self.track, name, **data).t

    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._recording.clock.now()

    def miss(self, waiting_for: str, seen: str, **data: Any) -> NoReturn:
        """End the track: what it waited for cannot come; marked `missed`."""
        self.mark("missed", waiting_for=waiting_for, seen=seen, **data)
        raise Missed(f"{waiting_for}: {seen}")

    def _accepted(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives; the track ends where the API server refuses it."""
        try:
            return action()
        except ApiRefused as refused:
            self.miss(f"the API server to accept {what}", refused.answer.message)

    @contextlib.contextmanager
    def _waiting(self, kind: str, what: str) -> Iterator[None]:
        """Tell what the block waits for, and put on record how long it did."""
        self._tell(f"waiting for {what}")
        since = self.now()
        try:
            yield
        finally:
            self._record(Wait(since, self.now(), self.track, kind, what))

    def _record(self, wait: Wait) -> None:
        self._recording.writer.add(wait)

    def _tell(self, detail: str) -> None:
        if self._task is not None:
            self._task.update(detail=detail)
