"""A Docker engine of a few lines, real on the wire: lists and removes containers and networks."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLUSTER, ROLE, OURS = "io.x-k8s.kind.cluster", "io.x-k8s.kind.role", "kubeproof.dev/cluster"


@dataclass
class TinyEngine:
    """What there is, by name: labels of containers and of networks, and the bytes that running ones hold.

    `busy` answers that many removals with a conflict first; `later` are containers that come into being at
    the first removal, as those that a killed client had asked for. `asked` holds method and path, in order.
    """

    containers: dict[str, dict[str, str]] = field(default_factory=dict)
    networks: dict[str, dict[str, str]] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    later: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, cluster: str, *nodes: str) -> None:
        """A kind cluster of ours, on its network."""
        self.networks[cluster] = {OURS: cluster}
        for node in nodes:
            role = "worker" if "worker" in node else "control-plane"
            self.containers[f"{cluster}-{node}"] = {CLUSTER: cluster, ROLE: role}

    def removals(self) -> list[str]:
        """What was asked to go, with the query that went with it."""
        return [line for line in self.asked if line.startswith("DELETE")]

    @contextlib.contextmanager
    def serve(self, folder: Path) -> Iterator[str]:
        """Serve on a socket in `folder`; gives the engine's address."""
        engine, path = self, folder / "docker.sock"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            do_DELETE = do_POST = do_GET  # noqa: N815

            def address_string(self) -> str:
                return "socket"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _answer(self) -> None:
                code, body = engine.answer(self.command, self.path)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(data)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        with Server(str(path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()
                thread.join()
                path.unlink()

    def answer(self, method: str, address: str) -> tuple[int, Any]:
        """Code and body for one request."""
        parts = urlsplit(address)
        path = re.sub(r"^/v[0-9.]+", "", parts.path)
        self.asked.append(f"{method} {path}" + (f"?{parts.query}" if parts.query else ""))
        if method == "DELETE":
            return self._remove(*path.strip("/").split("/"))
        filters = json.loads(parse_qs(parts.query).get("filters", ["{}"])[0])
        known = {
            "/_ping": b"OK",
            "/version": {"ApiVersion": "1.41", "Version": "20.10.24"},
            "/info": self.info,
            "/containers/json": [self._listed(name) for name in _chosen(self.containers, filters)],
            "/networks": [
                {"Id": name, "Name": name, "Labels": self.networks[name]}
                for name in _chosen(self.networks, filters)
            ],
            **{f"/containers/{name}/json": self._inspected(name) for name in list(self.containers)},
            **{
                f"/containers/{name}/stats": {"memory_stats": {"stats": {"anon": size}}}
                for name, size in self.held.items()
            },
        }
        return (200, known[path]) if path in known else (404, {"message": f"{path} is not known here"})

    def _remove(self, kind: str, name: str) -> tuple[int, Any]:
        if self.busy:
            self.busy -= 1
            return 409, {"message": f"removal of {name} is in progress"}
        there = self.containers if kind == "containers" else self.networks
        if there.pop(name, None) is None:
            return 404, {"message": f"no such {kind}"}
        self.containers |= self.later
        self.later = {}
        return 204, b""

    def _listed(self, name: str) -> dict[str, Any]:
        return {"Id": name, "Names": [f"/{name}"], "State": "running", "Labels": self.containers[name]}

    def _inspected(self, name: str) -> dict[str, Any]:
        labels = self.containers[name]
        status = {"Status": "running"}
        return {"Id": name, "Name": f"/{name}", "State": status, "Config": {"Labels": labels}}


def _chosen(there: dict[str, dict[str, str]], filters: dict[str, Any]) -> list[str]:
    wanted = [label.partition("=") for label in filters.get("label") or ()]
    return [
        name
        for name, labels in list(there.items())
        if all(key in labels and (not equals or labels[key] == value) for key, equals, value in wanted)
    ]
