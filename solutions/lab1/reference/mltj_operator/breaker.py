"""Patience with an API server that does not answer.

While it is down, one request at a time finds out whether it is back; all others wait in line. So
however many jobs there are, an outage costs a handful of requests, and its end is seen at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 3.0

T = TypeVar("T")


class Unavailable(Exception):
    """The API server gave no answer, or one that a retry may change."""


class Breaker:
    """Lets requests through while they succeed, and one at a time while they don't."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._pause_s = 0.0
        self._retry_at = 0.0

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send a request when it is its turn; whatever it raises passes through."""
        if not self._pause_s:
            return await self._attempt(send)
        async with self._turn:
            if self._pause_s:
                await self._sleep(max(0.0, self._retry_at - self._clock()))
                return await self._attempt(send)
        return await self.run(send)

    async def _attempt(self, send: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await send()
        except Unavailable:
            self._trip()
            raise
        self._pause_s = 0.0
        return result

    def _trip(self) -> None:
        if self._clock() < self._retry_at:
            return  # sent before the outage was known: one outage, one step
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._retry_at = self._clock() + self._pause_s
