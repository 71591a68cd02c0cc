"""A real cluster behind a fault proxy, the record of it as it is written, and clients of both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from graders.clusters.kubeconfigs import token_kubeconfig
from graders.clusters.provider import ClusterSpec
from graders.clusters.registry import provider_named
from graders.evidence.auditing import AuditRecorder
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.evidence.records import AuditEvent, Disturbance, Exchange
from graders.faultproxy import FaultProxy, Match, ProxyAuditLog, Serving
from graders.faultproxy.rules import InFlight, Note, Rule, RuleAnswer
from graders.kube.client import Kube
from graders.model import Cluster
from graders.polling import NotYet, wait_for
from graders.progress import Silent

WITHIN_S = 30.0
"""How long anything that should happen may take before a test fails."""


class Remembering(BundleWriter):
    """Writes a bundle, and keeps what it writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.records: list[object] = []

    def add(self, record: object) -> None:
        self.records.append(record)
        super().add(record)


@dataclass
class World:
    """A cluster with a proxy before it; `token` is a ServiceAccount's that may edit its namespace."""

    cluster: Cluster
    kube: Kube
    writer: Remembering
    recording: Recording
    audit: AuditRecorder
    proxy: FaultProxy
    folder: Path
    token: str
    powerless: str

    @property
    def api_port(self) -> int:
        return int(self.kube.server.rsplit(":", 1)[1])

    def upstream_connections(self) -> int:
        """How many connections from this process to the API server are open."""
        return sum(
            connection.status == psutil.CONN_ESTABLISHED
            and bool(connection.raddr)
            and connection.raddr.port == self.api_port
            for connection in psutil.Process().net_connections("tcp")
        )

    @contextlib.contextmanager
    def served(self, instance: str) -> Iterator[Served]:
        """A listener of its own on a free port of loopback."""
        with socket.create_server(("127.0.0.1", 0)) as listener, self.proxy.serve(listener, instance):
            yield Served(self, instance, listener.getsockname()[1])


@dataclass
class Served:
    """One listener of the proxy's."""

    world: World
    instance: str
    port: int
    opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.world.kube.ca_certificate().decode())

    def http(self, token: str | None = None, **more: Any) -> httpx.Client:
        """A client with the token of the one who may edit, or another."""
        headers = {"Authorization": f"Bearer {self.world.token if token is None else token}"}
        client = httpx.Client(
            base_url=self.url,
            verify=self.trust(),
            headers=headers | more.pop("headers", {}),
            timeout=WITHIN_S,
            **more,
        )
        self.opened.push(client)
        return client

    def direct(self) -> httpx.Client:
        """The same client, past the proxy."""
        client = self.http()
        client.base_url = httpx.URL(self.world.kube.server)
        return client

    def connect(self, **more: Any) -> ssl.SSLSocket:
        """A TLS connection, and whatever may be said on it."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN_S)
        secure = self.trust().wrap_socket(plain, server_hostname="127.0.0.1", **more)
        self.opened.push(secure)
        return secure

    def kubeconfig(self) -> Path:
        ca = self.world.kube.ca_certificate()
        path = self.world.folder / f"{self.instance}.kubeconfig"
        path.write_text(token_kubeconfig(self.url, ca, self.world.token, "default"))
        return path

    def exchanges(self, **fields: str | int) -> list[Exchange]:
        """What is on record of this listener's requests, those with these fields."""
        mine = [
            r for r in self.world.writer.records if isinstance(r, Exchange) and r.instance == self.instance
        ]
        return [each for each in mine if all(getattr(each, key) == value for key, value in fields.items())]

    def disturbances(self, rule: str) -> list[Disturbance]:
        return [
            r
            for r in self.world.writer.records
            if isinstance(r, Disturbance) and r.instance == self.instance and r.rule == rule
        ]

    def recorded(self, count: int = 1, **fields: str | int) -> list[Exchange]:
        """Wait until so many requests with these fields are on record."""

        def there() -> list[Exchange]:
            found = self.exchanges(**fields)
            if len(found) < count:
                raise NotYet(f"{len(found)} of {count} exchanges {fields}: {self.exchanges()}")
            return found

        return wait_for(there, timeout_s=WITHIN_S)

    def audited(self, user_agent: str) -> AuditEvent:
        """The API server's own record of the request with this User-Agent."""

        def there() -> AuditEvent:
            for record in list(self.world.writer.records):
                if isinstance(record, AuditEvent) and record.user_agent == user_agent:
                    return record
            raise NotYet(f"nothing of {user_agent} in the audit log")

        return wait_for(there, timeout_s=WITHIN_S)


class Watching:
    """A watch through the proxy, read by a thread of its own, line by line."""

    def __init__(self, client: httpx.Client, path: str, **query: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.ended = threading.Event()
        self.opened = threading.Event()
        self._client, self._path, self._query = client, path, {"watch": "1", **query}
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watching:
        self._thread.start()
        assert self.opened.wait(WITHIN_S), f"no watch of {self._path}: {self.error!r}"
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Hang up. Only the thread that reads may close the descriptor: another could get its number."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._thread.join(WITHIN_S)

    def _read(self) -> None:
        try:
            with self._client.stream("GET", self._path, params=self._query) as response:
                assert response.status_code == 200, response.status_code
                self._socket = response.extensions["network_stream"].get_extra_info("socket")
                self.opened.set()
                for line in response.iter_lines():
                    self.events.append(json.loads(line))
        except Exception as error:  # (told to the test that waits)
            self.error = error
        finally:
            self.ended.set()

    def of(self, name: str) -> list[str]:
        """What was told of an object: the types of its events."""
        return [e["type"] for e in list(self.events) if e["object"].get("metadata", {}).get("name") == name]

    def told(self, name: str, *kinds: str) -> None:
        """Wait until exactly this was told of an object."""

        def there() -> None:
            if self.of(name) != list(kinds):
                raise NotYet(f"told {self.of(name)} of {name}, not {list(kinds)}; {self.error!r}")

        wait_for(there, timeout_s=WITHIN_S)


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def maps(namespace: str = "default") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@contextlib.contextmanager
def proxied(folder: Path, name: str, stand_in: Remembering | None = None) -> Iterator[World]:
    """A cluster, a proxy, two ServiceAccounts and a second namespace, `other`.

    With `stand_in` a notary writes there what it sees, beside the API server's own log.
    """
    with Remembering(folder / "bundle") as writer:
        recording = Recording(writer)
        audit = AuditRecorder(recording)
        spec = ClusterSpec(name=name, on_audit=audit)
        with provider_named("embedded").provision(spec, Silent()) as cluster:
            kube = Kube(cluster.kubeconfig)
            ca = folder / "ca.crt"
            ca.write_bytes(kube.ca_certificate())
            kube.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
            worker, powerless = _account(kube, "worker"), _account(kube, "powerless")
            for namespace in ("default", "other"):
                _bind(kube, namespace, "edit", "worker")
            kube.create(
                "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                {
                    "metadata": {"name": "watch-maps"},
                    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
                },
            )
            kube.create(
                "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                {
                    "metadata": {"name": "watch-maps"},
                    "roleRef": _role("watch-maps"),
                    "subjects": _subjects("worker"),
                },
            )
            assert cluster.serving is not None
            serving = Serving(kube.server, ca, *cluster.serving)
            audit_log = _audit_log(recording, stand_in) if stand_in is not None else None
            with FaultProxy(serving, recording, audit_log) as proxy:
                yield World(cluster, kube, writer, recording, audit, proxy, folder, worker, powerless)
                assert proxy.fault is None, repr(proxy.fault)


def _audit_log(recording: Recording, stand_in: Remembering) -> ProxyAuditLog:
    """One that goes by the clock of the recording, for what belongs to the first ServiceAccount."""
    beside = Recording(stand_in)
    beside.clock = recording.clock
    return ProxyAuditLog(
        AuditRecorder(beside), "system:serviceaccount:default:worker", frozenset({"example.org"})
    )


def _account(kube: Kube, name: str) -> str:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    kube.create(accounts, {"metadata": {"name": name}})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(kube.create(f"{accounts}/{name}/token", request)["status"]["token"])


def _bind(kube: Kube, namespace: str, role: str, account: str) -> None:
    kube.create(
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
        {"metadata": {"name": account}, "roleRef": _role(role), "subjects": _subjects(account)},
    )


def _role(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def _subjects(account: str) -> list[dict[str, str]]:
    return [{"kind": "ServiceAccount", "name": account, "namespace": "default"}]


class Hold(Rule):
    """A rule of these tests: requests wait until `release`, then go on."""

    def __init__(self, name: str, match: Match) -> None:
        super().__init__(name, match)
        self._gate: asyncio.Event | None = None

    def arm(self, loop: asyncio.AbstractEventLoop, note: Note) -> None:
        """Close the gate."""
        super().arm(loop, note)
        self._gate = asyncio.Event()

    def disarm(self) -> None:
        """Nothing waits for a rule that is gone."""
        if self._gate is not None:
            self._gate.set()

    def release(self) -> None:
        """Let everything go on, from now on too."""
        self._call(self.disarm)

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Wait at the gate."""
        assert self._gate is not None
        if not self._gate.is_set() and self._apply(request, "held"):
            await self._gate.wait()
        return None


class DropResponse(Rule):
    """A rule of these tests: the API server commits, and the client never hears: it is cut off."""

    async def after(self, request: InFlight, code: int) -> RuleAnswer | None:
        """Cut, after an accepted request only."""
        if 200 <= code < 300 and self._apply(request, f"answer {code} lost"):
            return RuleAnswer(abort=True)
        return None
