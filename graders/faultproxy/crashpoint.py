"""The rule that makes the k-th accepted write the last one."""

import asyncio
import threading

from graders.faultproxy.pace import Pace
from graders.faultproxy.rules import InFlight, Rule, RuleAnswer
from graders.kube.requestinfo import Match


class CrashPoint(Rule):
    """Lets `k` accepted writes through and none after them; if `swallow`, the k-th answer is lost too.

    `reached` is set when the k-th write is committed: from then on nothing changes until `release`, so
    whoever kills the client meanwhile has killed it just then. What comes after is answered 409, not
    held: a client of one worker has to be able to reach many crash points at once. Only one that tries
    again and again without a pause is slowed, lest it spin.
    """

    def __init__(self, name: str, match: Match, k: int, *, swallow: bool = False) -> None:
        super().__init__(name, match)
        self.k = k
        self.swallow = swallow
        self.passed = 0
        self.reached = threading.Event()
        self._released = False
        self._turn = asyncio.Lock()
        self._pace = Pace(burst=8, every_s=0.25, longest_s=1.0)

    def release(self) -> None:
        """Let everything through from now on; safe in any thread."""
        self._released = True

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """One write at a time, so that exactly k are committed."""
        if self._released or request.info.dry_run:
            return None
        if self.passed < self.k:
            await self._turn.acquire()
            request.touched.append(self._ticket)
            if self._released or self.passed < self.k:
                return None
            self.lost(request)
        self._apply(request, "kept from the API server: 409")
        await asyncio.sleep(self._pace.delay(asyncio.get_running_loop().time()))
        return RuleAnswer(
            409, "Conflict", "the object has been modified; please apply your changes to the latest version"
        )

    async def after(self, request: InFlight, code: int) -> RuleAnswer | None:
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
        return RuleAnswer(abort=True) if self.swallow else None

    def lost(self, request: InFlight) -> None:
        """The request is over, answered or not: whoever is next may go."""
        if self._ticket in request.touched:
            request.touched.remove(self._ticket)
            self._turn.release()

    @property
    def _ticket(self) -> str:
        return f"{self.name}:turn"
