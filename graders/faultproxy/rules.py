"""What the proxy does to requests and watches that are meant, on the scenario's word.

A rule's hooks run in the proxy's thread; `release` and the events are for the scenario's threads.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graders.kube.requestinfo import Match, RequestInfo


@dataclass(frozen=True)
class RuleAnswer:
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
class Seen:
    """One request that went to the API server, from then on; times are seconds of the run."""

    t: float
    body: bytes
    user_agent: str


@dataclass
class InFlight:
    """One request under way; `touched` names the rules that were applied to it, `code` what was answered.

    `body` is there until the request is forwarded.
    """

    info: RequestInfo
    instance: str
    t: float
    body: bytes = b""
    code: int = 0
    touched: list[str] = field(default_factory=list)
    seen: Seen | None = None
    """What the proxy's audit log keeps of it, where there is one."""
    answer: bytes | None = None
    """The whole answer, where the proxy's audit log had to read it; then it is passed on from here."""


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

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Before a request that is meant is forwarded; an answer keeps it from being so."""
        del request
        return None

    async def after(self, request: InFlight, code: int) -> RuleAnswer | None:
        """After the API server answered and before the client hears of it."""
        del request, code
        return None

    def lost(self, request: InFlight) -> None:
        """The request is over, answered or not."""
        del request

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

    def __init__(self, name: str, match: Match, answer: RuleAnswer, *, times: int | None = None) -> None:
        super().__init__(name, match, times=times)
        self._answer = answer

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Answer."""
        return self._answer if self._apply(request, f"answered {self._answer.code}") else None


class Delay(Rule):
    """A request is forwarded later."""

    def __init__(self, name: str, match: Match, seconds: float, *, times: int | None = None) -> None:
        super().__init__(name, match, times=times)
        self._seconds = seconds

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Wait."""
        if self._apply(request, f"delayed by {self._seconds:g} s"):
            await asyncio.sleep(self._seconds)
        return None


class InterleavedWrite(Rule):
    """While a request is held `action` changes something else; it is answered then, or else forwarded.

    Only a request with `carrying` in its body is meant.
    """

    def __init__(
        self,
        name: str,
        match: Match,
        action: Callable[[RequestInfo, bytes], None],
        *,
        answer: RuleAnswer | None = None,
        carrying: bytes = b"",
        times: int | None = 1,
    ) -> None:
        super().__init__(name, match, times=times)
        self._action = action
        self._answer = answer
        self._carrying = carrying
        self.error: BaseException | None = None
        """What `action` raised; the scenario looks."""

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Act in another thread, for acting means asking the API server."""
        if self._carrying not in request.body or not self._apply(
            request,
            "held while others wrote" + (f", then answered {self._answer.code}" if self._answer else ""),
        ):
            return None
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._action, request.info, request.body)
        except Exception as error:  # the scenario's own, raised where it waits
            self.error = error
        return self._answer
