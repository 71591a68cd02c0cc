"""Carries a sandboxed program's API connections to the API server, byte for byte.

The listening socket lives in the sandbox's own network; this end is ours, so nothing inside can be
dialled from outside through it, and nothing outside but the one target can be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024
_MOST_CONNECTIONS = 256


class Relay:
    """Accepts on `listener` and pumps each connection to `target`, until the block ends."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        # The sandbox closes its own socket object; a duplicate keeps the two clean-ups independent.
        self._listener = listener.dup()
        self._target = target
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._open = 0

    def __enter__(self) -> Self:
        self._thread.start()
        # A program may end at once: what ends the relay must find it begun.
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, ended = self._started.result()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)
        self._thread.join(5.0)

    def _serve(self) -> None:
        try:
            asyncio.run(self._serving())
        except Exception as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._listener.close()

    async def _serving(self) -> None:
        server = await asyncio.start_server(self._connection, sock=self._listener)
        ended = asyncio.Event()
        self._started.set_result((asyncio.get_running_loop(), ended))
        try:
            await ended.wait()
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._open += 1
        upstream_writer: asyncio.StreamWriter | None = None
        try:
            upstream, upstream_writer = await asyncio.open_connection(*self._target)
            _no_delay(writer)
            _no_delay(upstream_writer)
            await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open -= 1
            for end in (writer, upstream_writer):
                if end is not None:
                    end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _no_delay(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
