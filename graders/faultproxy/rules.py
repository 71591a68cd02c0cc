"""What the proxy does to requests and watches that are meant, on the scenario's word.

A rule's hooks run in the proxy's thread; `release` and the events are for the scenario's threads.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graders.faultproxy.asked import Asked, Match


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy's own; `abort` cuts the connection instead."""

    code: int = 0
    reason: str = ""
    message: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    abort: bool = False

    def body(self) -> bytes:
        """A `Status` as the API server sends it."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        return json.dumps(status).encode()


@dataclass
class InFlight:
    """One request under way; `touched` names the rules that were applied to it, `code` what was answered.

    `body` is there until the request is forwarded.
    """

    asked: Asked
    instance: str
    t: float
    body: bytes = b""
    code: int = 0
    touched: list[str] = field(default_factory=list)


_NEWS = frozenset({"ADDED", "MODIFIED", "DELETED"})

Note = Callable[[str, InFlight, str], None]
"""Puts an application on record: the rule's name, the request, what was done."""


class Rule:
    """One disturbance. `name` says which in the record; `times` bounds how often it applies."""

    def __init__(self, name: str, match: Match, *, times: int | None = None) -> None:
        self.name = name
        self.match = match
        self.times = times
        self.applied = 0
        self.first = threading.Event()
        """Set at the first application."""
        self._note: Note | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def arm(self, loop: asyncio.AbstractEventLoop, note: Note) -> None:
        """Called by the proxy, in its thread, before any hook."""
        self._loop, self._note = loop, note

    def disarm(self) -> None:
        """Called by the proxy, in its thread, when the rule ends."""

    async def before(self, request: InFlight) -> Answer | None:
        """Before a request that is meant is forwarded; an answer keeps it from being so."""
        del request
        return None

    async def after(self, request: InFlight, code: int) -> Answer | None:
        """After the API server answered and before the client hears of it."""
        del request, code
        return None

    def holds(self, asked: Asked) -> bool:
        """Whether frames of this watch are to be looked at."""
        del asked
        return False

    def _apply(self, request: InFlight, what: str) -> bool:
        """Put an application on record; False when there have been enough."""
        if self.times is not None and self.applied >= self.times:
            return False
        self.applied += 1
        request.touched.append(self.name)
        if self._note is not None:
            self._note(self.name, request, what)
        self.first.set()
        return True

    def _call(self, action: Callable[[], None]) -> None:
        """Run `action` in the proxy's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)


class Respond(Rule):
    """The proxy answers in the API server's place."""

    def __init__(self, name: str, match: Match, answer: Answer, *, times: int | None = None) -> None:
        super().__init__(name, match, times=times)
        self._answer = answer

    async def before(self, request: InFlight) -> Answer | None:
        """Answer."""
        return self._answer if self._apply(request, f"answered {self._answer.code}") else None


class Delay(Rule):
    """A request is forwarded later."""

    def __init__(self, name: str, match: Match, seconds: float, *, times: int | None = None) -> None:
        super().__init__(name, match, times=times)
        self._seconds = seconds

    async def before(self, request: InFlight) -> Answer | None:
        """Wait."""
        if self._apply(request, f"delayed by {self._seconds:g} s"):
            await asyncio.sleep(self._seconds)
        return None


class Meanwhile(Rule):
    """While a request is held `action` changes the world; it is answered then, or else forwarded."""

    def __init__(
        self,
        name: str,
        match: Match,
        action: Callable[[Asked, bytes], None],
        *,
        answer: Answer | None = None,
        times: int | None = 1,
    ) -> None:
        super().__init__(name, match, times=times)
        self._action = action
        self._answer = answer
        self.error: BaseException | None = None
        """What `action` raised; the scenario looks."""

    async def before(self, request: InFlight) -> Answer | None:
        """Act in another thread, for acting means asking the API server."""
        if not self._apply(
            request,
            "held while others wrote" + (f", then answered {self._answer.code}" if self._answer else ""),
        ):
            return None
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._action, request.asked, request.body)
        except Exception as error:  # the scenario's own, raised where it waits
            self.error = error
        return self._answer


class Hold(Rule):
    """Requests wait until `release`, then go on."""

    def __init__(self, name: str, match: Match) -> None:
        super().__init__(name, match)
        self._gate: asyncio.Event | None = None

    def arm(self, loop: asyncio.AbstractEventLoop, note: Note) -> None:
        """Close the gate."""
        super().arm(loop, note)
        self._gate = asyncio.Event()

    def disarm(self) -> None:
        """Nothing waits for a rule that is gone."""
        if self._gate is not None:
            self._gate.set()

    def release(self) -> None:
        """Let everything go on, from now on too."""
        self._call(self.disarm)

    async def before(self, request: InFlight) -> Answer | None:
        """Wait at the gate."""
        assert self._gate is not None
        if not self._gate.is_set() and self._apply(request, "held"):
            await self._gate.wait()
        return None


class Swallow(Rule):
    """The API server commits, and the client never hears: its connection is cut instead."""

    async def after(self, request: InFlight, code: int) -> Answer | None:
        """Cut, after an accepted request only."""
        if 200 <= code < 300 and self._apply(request, f"answer {code} lost"):
            return Answer(abort=True)
        return None


class CrashPoint(Rule):
    """Lets `k` accepted writes through and none after them; if `swallow`, the k-th answer is lost too.

    `reached` is set when the k-th write is committed: from then on nothing changes until `release`, so
    whoever kills the client meanwhile has killed it just then. What comes after is answered 409, not
    held: a client with few workers has to be able to reach many crash points at once.
    """

    PAUSE_S = 0.25
    """A client that tries again at once shall not spin."""

    def __init__(self, name: str, match: Match, k: int, *, swallow: bool = False) -> None:
        super().__init__(name, match)
        self.k = k
        self.swallow = swallow
        self.passed = 0
        self.reached = threading.Event()
        self._released = False
        self._turn = asyncio.Lock()

    def release(self) -> None:
        """Let everything through from now on; safe in any thread."""
        self._released = True

    async def before(self, request: InFlight) -> Answer | None:
        """One write at a time, so that exactly k are committed."""
        if self._released or request.asked.dry_run:
            return None
        if self.passed < self.k:
            await self._turn.acquire()
            request.touched.append(self._ticket)
            if self._released or self.passed < self.k:
                return None
            self.lost(request)
        self._apply(request, "kept from the API server: 409")
        await asyncio.sleep(self.PAUSE_S)
        return Answer(
            409, "Conflict", "the object has been modified; please apply your changes to the latest version"
        )

    async def after(self, request: InFlight, code: int) -> Answer | None:
        """Count the accepted ones."""
        mine = self._ticket in request.touched and not self._released
        self.lost(request)
        if not mine or not 200 <= code < 300:
            return None
        self.passed += 1
        if self.passed < self.k:
            return None
        self._apply(
            request, f"write {self.k} committed, " + ("its answer lost" if self.swallow else "the last")
        )
        self.reached.set()
        return Answer(abort=True) if self.swallow else None

    def lost(self, request: InFlight) -> None:
        """The request is over, answered or not: whoever is next may go."""
        if self._ticket in request.touched:
            request.touched.remove(self._ticket)
            self._turn.release()

    @property
    def _ticket(self) -> str:
        return f"{self.name}:turn"


class HeldFrames(Rule):
    """News of the objects that are meant is kept from every watch, until it is let go of.

    A bookmark behind such news waits with it: it would say that the news was told.
    """

    MOST_BYTES = 32 * 1024 * 1024

    def __init__(self, name: str, match: Match) -> None:
        super().__init__(name, match)
        self.let_go: Callable[[str], None] = _nothing
        """Set by the proxy: lets go of `all`, the `latest` of each object, or `none` of them."""
        self.held_bytes = 0

    def holds(self, asked: Asked) -> bool:
        """Watches of the resources that are meant."""
        return self.match.covers_stream(asked)

    def take(self, request: InFlight, kind: str, item: dict[str, Any], size: int) -> bool:
        """Whether to hold this frame."""
        if kind not in _NEWS or not self.match.covers_object(item) or self.held_bytes > self.MOST_BYTES:
            return False
        self.held_bytes += size
        metadata = item["metadata"]
        return self._apply(request, f"held back: {kind} {metadata.get('name')}")


class LateFrames(HeldFrames):
    """News of the objects that are meant comes `late_s` seconds late to every watch, in order."""

    def __init__(self, name: str, match: Match, late_s: float) -> None:
        super().__init__(name, match)
        self.late_s = late_s


def _nothing(mode: str) -> None:
    del mode
