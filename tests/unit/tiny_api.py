"""An API server of a few lines, real on the wire: lists and watches, as a test scripts them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from graders.kube.client import Kube

Line = dict[str, Any] | bytes

HOLD = b"\x00hold"
"""In a watch: keep the connection open from here on."""
AWAY: tuple[int, list[dict[str, Any]]] = (0, [])
"""As a listing: the API server cannot answer."""
BREAK = b"\x00break"
"""In a watch: break the connection in the middle of a chunk."""


def pod(name: str, version: int, **fields: Any) -> dict[str, Any]:
    """A pod at a resource version."""
    metadata = {"name": name, "namespace": "a", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, **fields}


def change(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    """A watch event."""
    return {"type": kind, "object": item}


EXPIRED: dict[str, Any] = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
}


class TinyApi:
    """Answers lists from `listings` and watches from `watches`, each in turn, the last one again and again.

    `paths` answer anything else with a code and a body; `asked` holds what was asked, in order.
    """

    def __init__(self) -> None:
        self.listings: list[tuple[int, list[dict[str, Any]]]] = [(1, [])]
        self.watches: list[list[Line]] = [[HOLD]]
        self.paths: dict[str, Callable[[], tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any, dict[str, str]]] = []
        self.over = threading.Event()

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a free port of the loopback interface; gives the server's URL."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else the body waits 40 ms for the head to be acknowledged

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

            def do_GET(self) -> None:
                api.answer(self)

            do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  (names that http.server wants)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            self.over.set()
            server.shutdown()
            thread.join()
            server.server_close()

    @contextlib.contextmanager
    def client(self, folder: Path) -> Iterator[Kube]:
        """A client of this server."""
        with self.serve() as url:
            yield Kube(kubeconfig(folder, url))

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        self.asked.append((handler.command, url.path, query, body, dict(handler.headers)))
        if url.path in self.paths:
            self._send(handler, *self.paths[url.path]())
        elif query.get("watch"):
            self._watch(handler, self.watches.pop(0) if len(self.watches) > 1 else self.watches[0])
        else:
            version, items = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
            if (version, items) == AWAY:
                self._send(handler, 503, {"kind": "Status", "message": "not yet"})
            else:
                self._send(handler, 200, {"metadata": {"resourceVersion": str(version)}, "items": items})

    def _send(self, handler: BaseHTTPRequestHandler, code: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _watch(self, handler: BaseHTTPRequestHandler, lines: list[Line]) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        for line in lines:
            if line == HOLD:
                self.over.wait(30)
                return
            if line == BREAK:
                handler.wfile.write(b'40\r\n{"type": "ADD')
                return
            data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def watched_from(self) -> list[str]:
        """The resource versions that watches started from."""
        return [query["resourceVersion"] for _, _, query, _, _ in list(self.asked) if query.get("watch")]


def kubeconfig(folder: Path, server: str, **user: str) -> Path:
    """A kubeconfig for a server."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path
