"""Tracks: independent pieces of acting, run side by side as far as they don't disturb each other.

A track acts and waits; it never judges. What it reached and what it did not is in its marks.
"""

import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from graders.evidence.manifest import TrackResult
from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.model import Capability
from graders.progress import Progress, Task


class Attended(Protocol):
    """A stage that can tell somebody what it waits for."""

    def attend(self, task: Task) -> None:
        """Tell `task` from now on."""


S = TypeVar("S", bound=Attended)


class Missed(Exception):
    """A track cannot go on, because what it waited for did not come; the mark is set already."""


@dataclass(frozen=True)
class Track(Generic[S]):
    """One piece of acting on a stage of type `S`.

    Tracks `at_barrier` take part in the one restart of the program that a run has: they call
    `RestartGate.pass_through`; all others are over by then, so the restart disturbs nobody. One that is
    `exclusive` disturbs everybody: it has a cluster to itself, or waits until all others are over.
    """

    name: str
    act: Callable[[S], None]
    title: str
    at_barrier: bool = False
    needs_operator: bool = True
    exclusive: bool = False
    replicas: int = 1
    needs: frozenset[Capability] = frozenset()
    """What its cluster must be able to show; where it cannot, the track is left out."""


@dataclass(frozen=True)
class _Steps:
    """What a member does around the restart."""

    before: Callable[[], None]
    during: Callable[[], None]
    after: Callable[[], None]


class RestartGate:
    """Where tracks meet to have the operator restarted once for all of them.

    The gate opens when every other track is over and every member has arrived; then `clear` takes away
    what the others left behind, all members prepare side by side, the restart happens, all members look at
    it, and everybody goes on. `restart` calls `while_down` at the moment when nobody runs.
    """

    def __init__(
        self,
        members: Collection[str],
        others: Collection[str],
        restart: Callable[[], None],
        clear: Callable[[], None] = lambda: None,
    ) -> None:
        self._members = set(members)
        self._others = set(others)
        self._restart = restart
        self._clear = clear
        self._changed = threading.Condition()
        self._arrived: dict[str, _Steps] = {}
        self._done = False
        self._running = False
        self._opened_by = ""
        self._errors: dict[str, BaseException] = {}

    @property
    def opened_by(self) -> str:
        """The track that all others waited for last; empty while the gate is shut."""
        return self._opened_by

    def leave(self, track: str) -> None:
        """Track `track` is over; nobody need wait for it."""
        with self._changed:
            self._others.discard(track)
            self._members.discard(track)
            self._note(track)

    def pass_through(
        self,
        track: str,
        *,
        before: Callable[[], None] = lambda: None,
        during: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait for the restart: `before` runs just ahead of it, `during` while the operator is down.

        `after` runs when it is back, before anybody goes on.

        Raises:
            whatever this track's own `before`, `during` or `after` raised, or what was done for all.
        """
        with self._changed:
            self._arrived[track] = _Steps(before, during, after)
            self._note(track)
            while not self._done:
                if self._complete() and not self._running:
                    self._running = True
                    self._changed.release()
                    try:
                        self._open()
                    finally:
                        self._changed.acquire()
                        self._done = True
                        self._changed.notify_all()
                else:
                    self._changed.wait(1.0)
        error = self._errors.get(track) or self._errors.get("")
        if error is not None:
            raise error

    def while_down(self) -> None:
        """Let all members act while the operator is down; what goes wrong is its member's alone."""
        self._all(lambda steps: steps.during)

    def _note(self, track: str) -> None:
        if self._complete() and not self._opened_by:
            self._opened_by = track
        self._changed.notify_all()

    def _complete(self) -> bool:
        return not self._others and self._members <= self._arrived.keys()

    def _open(self) -> None:
        try:
            self._clear()
            self._all(lambda steps: steps.before)
            self._restart()
        except Exception as error:  # (handed to every member, who raises it)
            self._errors[""] = error
            return
        self._all(lambda steps: steps.after)

    def _all(self, which: Callable[[_Steps], Callable[[], None]]) -> None:
        with ThreadPoolExecutor(len(self._arrived) or 1) as pool:
            futures = {
                track: pool.submit(which(steps))
                for track, steps in self._arrived.items()
                if track not in self._errors
            }
            for track, future in futures.items():
                error = future.exception()
                if error is not None:
                    self._errors[track] = error


def run_tracks(
    tracks: Sequence[Track[S]],
    contexts: Mapping[str, S],
    gate: RestartGate,
    recording: Recording,
    progress: Progress,
    pace: Callable[[], None] = lambda: None,
) -> dict[str, TrackResult]:
    """Run all tracks side by side, each on its stage; one track's trouble never stops another.

    They begin in their order; `pace` is called before each but the first, and returns when it may begin.
    A track that failed through infrastructure has status `failed`; through a bug of ours, `broken`.

    Raises:
        BadSubmission: a track found that what was handed in cannot be graded as it is; all tracks have ended.
    """

    def run(track: Track[S]) -> TrackResult:
        started = recording.clock.now()
        status, problem = "done", ""
        try:
            with progress.task(track.title) as task:
                contexts[track.name].attend(task)
                track.act(contexts[track.name])
        except Missed:
            pass
        except BadSubmission:
            raise
        except InfraFault as error:
            status, problem = "failed", str(error)
        except Exception:  # (the one place that turns a bug of ours into "not graded")
            status, problem = "broken", traceback.format_exc(limit=8)
        finally:
            gate.leave(track.name)
        return TrackResult(status, started, recording.clock.now(), problem)

    with ThreadPoolExecutor(max(1, len(tracks)), thread_name_prefix="track") as pool:
        futures: dict[str, Future[TrackResult]] = {}
        for track in tracks:
            if futures:
                pace()
            futures[track.name] = pool.submit(run, track)
        return {name: future.result() for name, future in futures.items()}
