"""Reads a watch of the API server's frame by frame, and hands each to the client's stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp

from graders.faultproxy.held import HeldFrames
from graders.faultproxy.streams import Stream

_MOST_FRAME_BYTES = 16 * 1024 * 1024


@dataclass
class Backlog:
    """How many bytes of watches one program may leave unread, and has."""

    most_bytes: int = 32 * 1024 * 1024
    bytes: int = 0


@dataclass(frozen=True)
class Pump:
    """Moves the frames of one watch; `holding` gives the rules that keep some back just now."""

    stream: Stream
    backlog: Backlog
    holding: Callable[[], list[HeldFrames]]

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
        async for frames in self._frames(upstream.content):
            waiting = sum(map(len, frames))
            self.backlog.bytes += waiting
            try:
                if self.backlog.bytes > self.backlog.most_bytes:
                    raise aiohttp.ClientPayloadError("too many frames are not read")
                for frame in frames:
                    await self.stream.take(frame, self.holding())
                    self.backlog.bytes -= len(frame)
                    waiting -= len(frame)
            finally:
                self.backlog.bytes -= waiting
        await self.stream.drained()

    async def _frames(self, content: aiohttp.StreamReader) -> AsyncIterator[list[bytes]]:
        """What has come of whole frames, as soon as there are some; at the end what is left."""
        pending = bytearray()
        async for chunk in content.iter_any():
            pending += chunk
            if b"\n" in chunk:
                *frames, rest = bytes(pending).split(b"\n")
                pending = bytearray(rest)
                yield [frame + b"\n" for frame in frames]
            elif len(pending) > _MOST_FRAME_BYTES:
                raise aiohttp.ClientPayloadError("a frame is too long")
        if pending:
            yield [bytes(pending)]
