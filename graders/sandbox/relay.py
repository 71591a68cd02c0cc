"""Leads what knocks at a door of a sandbox to a server of the harness's, byte for byte."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

MOST_CONNECTIONS = 64
"""At once, for each door; what comes beyond is hung up on."""

_CHUNK_BYTES = 64 * 1024
_CONNECTS_WITHIN_S = 5.0
_ENDS_WITHIN_S = 10.0


@contextlib.contextmanager
def relayed(listener: socket.socket, server: tuple[str, int]) -> Iterator[None]:
    """Connect each connection to `listener` with `server`, host and port, while the block runs."""
    relay = _Relay(listener, server)
    relay.thread.start()
    try:
        yield
    finally:
        relay.end()


class _Relay:
    def __init__(self, listener: socket.socket, server: tuple[str, int]) -> None:
        # The owner closes its own socket object; a duplicate keeps the two clean-ups independent.
        self._listener = listener.dup()
        self._listener.setblocking(False)
        self._server = server
        self._wake, self._woken = socket.socketpair()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept, name="relay", daemon=True)

    def end(self) -> None:
        """Hang up on everybody."""
        self._wake.send(b"x")
        self.thread.join(_ENDS_WITHIN_S)
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, self._wake, self._woken):
            each.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            while True:
                if any(key.fileobj is self._woken for key, _ in ready.select()):
                    return
                try:
                    client, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError:
                    return
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        with self._lock:
            full = len(self._open) >= 2 * MOST_CONNECTIONS
        try:
            if full:
                raise ConnectionRefusedError
            server = socket.create_connection(self._server, timeout=_CONNECTS_WITHIN_S)
        except OSError:
            client.close()
            return
        client.setblocking(True)
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        left = threading.Semaphore(0)
        for source, sink in ((client, server), (server, client)):
            pump = threading.Thread(target=_pump, args=(source, sink, left), name="relay-pump", daemon=True)
            pump.start()
        threading.Thread(target=self._close, args=(client, server, left), daemon=True).start()

    def _close(self, client: socket.socket, server: socket.socket, left: threading.Semaphore) -> None:
        left.acquire()
        left.acquire()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()


def _pump(source: socket.socket, sink: socket.socket, done: threading.Semaphore) -> None:
    """Carry bytes one way until there are no more, and say so to the other end."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
    done.release()
