"""One listener of a program's: who is let in, and how connecting is refused and allowed again."""

import asyncio
import contextlib
import errno
import socket
import ssl

from aiohttp import web

MOST_CONNECTIONS = 256
_AT_ONCE = 64
_BACKLOG = 128
_GREETED_WITHIN_S = 10.0
_AGAIN_S = 0.1


class ProxyListener:
    """Accepts on `own` for `serving`; used in the proxy's thread only.

    It accepts by itself, because a server of the event loop closes the socket it stops serving, and counts
    no connection whose TLS handshake never ends.
    """

    def __init__(self, own: socket.socket, serving: web.Server, tls: ssl.SSLContext) -> None:
        self._own = own
        self._own.setblocking(False)
        self._address = own.getsockname()
        self._serving = serving
        self._tls = tls
        self._greetings: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_open = False

    def open(self) -> None:
        """Listen, again if need be.

        Raises:
            OSError: the port was taken meanwhile.
        """
        if self._is_open:
            return
        try:
            # A port that the kernel chose is given back when its socket is shut down; others are kept.
            self._own.bind(self._address)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        self._own.listen(_BACKLOG)
        self._is_open = True
        self._listen()

    def shut(self) -> None:
        """Refuse, and cut what is connected."""
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self._own)
            if self._pause is not None:
                self._pause.cancel()
        with contextlib.suppress(OSError):
            # Shut down, a listening socket refuses; `listen` makes it listen again.
            self._own.shutdown(socket.SHUT_RD)
        for task in self._greetings:
            task.cancel()
        for connection in list(self._serving.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def close(self) -> None:
        """Shut for good."""
        self.shut()
        await asyncio.gather(*self._greetings, return_exceptions=True)
        await self._serving.shutdown(0.5)
        self._own.close()

    def _listen(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self._own, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _address = self._own.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # Out of descriptors: those who wait are served when there are some again.
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._own)
                self._pause = loop.call_later(_AGAIN_S, self._listen)
                return
            if len(self._greetings) + len(self._serving.connections) >= MOST_CONNECTIONS:
                connection.close()
                continue
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._greet(connection))
            self._greetings.add(task)
            task.add_done_callback(self._greetings.discard)

    async def _greet(self, connection: socket.socket) -> None:
        # What goes wrong closes the connection too.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._serving, connection, ssl=self._tls, ssl_handshake_timeout=_GREETED_WITHIN_S
            )
