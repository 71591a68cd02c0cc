"""Reads a watch of the API server's frame by frame, and hands each to the client's stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp

from graders.faultproxy.holdwatch import HoldWatchEvents
from graders.faultproxy.streams import Stream


@dataclass
class Backlog:
    """How many bytes of watches one program may leave unread, and has.

    What is on its way counts from the moment it comes, so this bounds a single frame, too.
    """

    most_bytes: int = 32 * 1024 * 1024
    bytes: int = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """One watch's part of it, given back when the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


@dataclass
class Share:
    """What one watch has of a backlog."""

    backlog: Backlog
    bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """So much came, or, where negative, went.

        Raises:
            aiohttp.ClientPayloadError: the program leaves too much unread.
        """
        self.bytes += size_bytes
        self.backlog.bytes += size_bytes
        if self.backlog.bytes > self.backlog.most_bytes:
            raise aiohttp.ClientPayloadError("too many frames are not read")


@dataclass(frozen=True)
class Pump:
    """Moves the frames of one watch; `holding` gives the rules that keep some back just now."""

    stream: Stream
    backlog: Backlog
    holding: Callable[[], list[HoldWatchEvents]]

    async def run(self, upstream: aiohttp.ClientResponse) -> None:
        """Return when either side has ended the watch.

        Raises:
            aiohttp.ClientPayloadError: the API server broke off, or the client leaves too much unread.
        """
        reading = asyncio.ensure_future(self._read(upstream))
        ended = asyncio.ensure_future(self.stream.ended.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for task in (reading, ended):
                task.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)
            self.stream.close()

    async def _read(self, upstream: aiohttp.ClientResponse) -> None:
        with self.backlog.share() as share:
            pending = bytearray()
            try:
                async for chunk in upstream.content.iter_any():
                    share.add(len(chunk))
                    looked = len(pending)
                    pending += chunk
                    while end := pending.find(b"\n", looked) + 1:
                        looked = 0
                        await self._pass(pending, end, share)
                if pending:
                    await self._pass(pending, len(pending), share)
            finally:
                # What went wrong remembers this function, and would keep its bytes.
                pending.clear()
        await self.stream.drained()

    async def _pass(self, pending: bytearray, end: int, share: Share) -> None:
        frame = bytes(pending[:end])
        del pending[:end]
        try:
            await self.stream.take(frame, self.holding())
        finally:
            del frame
        share.add(-end)
