"""Reads the metrics page of a process in its sandbox."""

import contextlib
import http.client
import socket
import threading

from graders.sandbox.supervision import SandboxedProcess

_MOST_METRICS_BYTES = 4 * 1024 * 1024
_SCRAPE_WITHIN_S = 3.0


def read_metrics(process: SandboxedProcess, port: int, path: str) -> str:
    """GET the metrics page inside the sandbox; what comes is the learner's, so time and size are capped.

    Raises:
        OSError, http.client.HTTPException, ValueError: no page came, or not a plain one.
    """
    connection = process.dial(port, timeout_s=1.0)
    # A server that sends a byte a second must not hold us: the socket is cut at the deadline.
    late = threading.Event()
    cut = threading.Timer(_SCRAPE_WITHIN_S, _cut, args=(connection, late))
    cut.start()
    try:
        connection.settimeout(_SCRAPE_WITHIN_S)
        request = f"GET {path} HTTP/1.1\r\nHost: operator\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        response = http.client.HTTPResponse(connection, method="GET")
        response.begin()
        body = response.read(_MOST_METRICS_BYTES + 1)
        if late.is_set():
            # What came by then looks like a page that ended, and is half of one.
            raise TimeoutError(f"{path} was not complete within {_SCRAPE_WITHIN_S:g} s")
        if response.status != 200:
            raise ValueError(f"{path} answers {response.status}")
        if len(body) > _MOST_METRICS_BYTES:
            raise ValueError(f"{path} is larger than {_MOST_METRICS_BYTES} bytes")
        if response.length:
            raise ValueError(f"{path} ends {response.length} bytes before its Content-Length")
        return body.decode("utf-8")
    finally:
        cut.cancel()
        connection.close()


def _cut(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
