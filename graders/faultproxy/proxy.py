"""Terminates a program's TLS, records each request, and passes it on unless a rule says otherwise.

One thread serves all of a program's processes. The bearer token passes untouched; the proxy holds no
identity of its own. Only JSON over HTTP/1.1 is negotiated, so that what passes can be read.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from graders.evidence.recording import Recording
from graders.faultproxy.auditlog import ProxyAuditLog
from graders.faultproxy.exchangerecorder import ExchangeRecorder
from graders.faultproxy.handler import ProxyState, RequestHandler
from graders.faultproxy.holdwatch import HoldWatchEvents
from graders.faultproxy.listener import ProxyListener
from graders.faultproxy.rules import Rule
from graders.faultproxy.streams import Stream
from graders.kube.requestinfo import Match

_KEEPALIVE_S = 3600.0
_READ_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05
_READ_AHEAD_BYTES = 64 * 1024

T = TypeVar("T")

_log = logging.getLogger(__name__)
# What a hostile client sends is no news to whoever grades it.
_log.addHandler(logging.NullHandler())
_log.propagate = False


@dataclass(frozen=True)
class Serving:
    """Where the API server is, and what the proxy shows to its clients.

    `upstream_ca` is a PEM file, None where the machine's own authorities are to be trusted; `certificate`
    and `key` are PEM files of a serving identity for 127.0.0.1. `upstream_name` is the name to expect in the
    API server's certificate and `upstream_proxy` a proxy on the way to it, where there are such.
    """

    upstream: str
    upstream_ca: Path | None
    certificate: Path
    key: Path
    upstream_name: str = ""
    upstream_proxy: str = ""


class FaultProxy:
    """A context manager; `serve` takes a listener of a program's, `disturb` a rule."""

    def __init__(
        self,
        serving: Serving,
        recording: Recording,
        audit_log: ProxyAuditLog | None = None,
        *,
        cluster: str = "",
    ) -> None:
        """`audit_log` puts on record what the API server's log would have, where that is out of reach."""
        self._serving = serving
        self._audit_log = audit_log
        self._exchanges = ExchangeRecorder(recording, cluster)
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        """All that the proxy does, it does there."""
        self._state: ProxyState
        self._tls: ssl.SSLContext
        self._listeners: dict[str, ProxyListener] = {}
        self._refusing = False
        self._late_s = 0.0
        self._keeping_time: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self.thread.start()
        try:
            self._call(self._prepare())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError, TimeoutError):
            self._call(self._close())
        self._stop()

    # --- for the scenario ------------------------------------------------------------------------

    @property
    def fault(self) -> Exception | None:
        """The first thing that went wrong in the proxy itself; the harness's trouble, not the learner's."""
        return self._state.fault

    def late_s(self) -> float:
        """Seconds, in all so far, by which the proxy came late to what it had to do; 0 on an idle machine."""
        return self._late_s

    def slow_s(self) -> float:
        """Seconds, in all so far, that the API server let whoever is served wait; see `Answering`."""
        return self._state.answering.slow_s

    def writes_in(self, namespace: str) -> int:
        """How many writing requests for objects in `namespace` ended so far."""
        return self._exchanges.writes[namespace]

    @property
    def requests(self) -> int:
        """How many requests ended so far."""
        return self._exchanges.requests

    @property
    def churn(self) -> int:
        """How many pods were created so far, and how many objects deleted."""
        return self._exchanges.churn

    @contextlib.contextmanager
    def serve(self, listener: socket.socket, instance: str) -> Iterator[None]:
        """Serve what connects to `listener`, on record as `instance`, while the block runs."""
        # The owner closes its own socket object; a duplicate keeps the two clean-ups independent.
        door = self._call(self._listen(listener.dup(), instance))
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError, TimeoutError):
                self._call(self._hang_up(door, instance))

    @contextlib.contextmanager
    def disturb(self, *rules: Rule) -> Iterator[None]:
        """Have `rules` apply, in this order, while the block runs; what they hold is let go after."""

        async def begin() -> None:
            for rule in rules:
                rule.arm(self._loop, self._exchanges.note)
                if isinstance(rule, HoldWatchEvents):
                    rule.let_go = lambda mode, rule=rule: self._call(self._release(rule, mode))  # type: ignore[misc]
            self._state.rules.extend(rules)

        async def end() -> None:
            for rule in rules:
                self._state.rules.remove(rule)
                rule.disarm()
                if isinstance(rule, HoldWatchEvents):
                    await self._release(rule, "all")

        self._call(begin())
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError, TimeoutError):
                self._call(end())

    def replay(self, name: str, match: Match) -> int:
        """Tell every watch the last news of the objects that are meant once more; gives how many frames."""

        async def one(stream: Stream) -> int:
            sent = await stream.replay(match)
            if sent:
                self._exchanges.note(name, stream.request, f"{sent} frames replayed")
            return sent

        async def do() -> int:
            return await self._each(self._meant(match), one)

        return self._call(do())

    def silent(self, match: Match) -> int:
        """How many watches that are meant are open and have told no news of the objects that are."""

        async def do() -> int:
            return sum(not stream.remembers(match) for stream in self._meant(match))

        return self._call(do())

    def expire(self, name: str, match: Match) -> int:
        """End the watches that are meant with `410 Gone`, so that clients list anew; gives how many."""

        async def one(stream: Stream) -> int:
            self._exchanges.note(name, stream.request, "ended with 410 Gone")
            await stream.expire()
            return 1

        async def do() -> int:
            streams = self._meant(match)
            await self._each(streams, one)
            return len(streams)

        return self._call(do())

    def open_watches(self, match: Match) -> int:
        """How many watches that are meant are open now."""

        async def do() -> int:
            return len(self._meant(match))

        return self._call(do())

    def refuse_connections(self) -> None:
        """From now on connecting is refused, and what was connected is cut."""

        async def do() -> None:
            self._refusing = True
            for door in self._listeners.values():
                door.shut()

        self._call(do())

    def accept_connections(self) -> None:
        """End what `refuse_connections` began."""

        async def do() -> None:
            self._refusing = False
            for door in self._listeners.values():
                door.open()

        self._call(do())

    # --- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._trouble)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self._loop.close()

    def _trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what nobody awaits; broken connections are daily bread."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError | EOFError):
            self._state.fault = self._state.fault or error

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30.0)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.thread.join(5.0)

    async def _prepare(self) -> None:
        self._tls = _server_side(self._serving)
        session = _session(self._serving)
        self._state = ProxyState(
            self._serving.upstream,
            session,
            self._exchanges.now,
            self._exchanges.exchanged,
            self._audit_log,
            self._serving.upstream_name or None,
        )
        self._keeping_time = asyncio.create_task(self._keep_time())

    async def _keep_time(self) -> None:
        while True:
            due = self._loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self._late_s += max(0.0, self._loop.time() - due)

    async def _close(self) -> None:
        for instance, door in list(self._listeners.items()):
            await self._hang_up(door, instance)
        await self._state.session.close()

    async def _listen(self, own: socket.socket, instance: str) -> ProxyListener:
        serving = web.Server(
            RequestHandler(self._state, instance).handle,
            handler_cancellation=True,
            access_log=None,
            logger=_log,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=0.0,
            read_bufsize=_READ_AHEAD_BYTES,
            auto_decompress=False,
        )
        self._listeners[instance] = door = ProxyListener(own, serving, self._tls)
        if self._refusing:
            door.shut()
        else:
            door.open()
        return door

    async def _hang_up(self, door: ProxyListener, instance: str) -> None:
        if self._listeners.get(instance) is door:
            del self._listeners[instance]
        await door.close()

    async def _release(self, rule: HoldWatchEvents, mode: str) -> None:
        async def one(stream: Stream) -> int:
            count = await stream.release(rule, mode)
            if count or mode == "none":
                self._exchanges.note(rule.name, stream.request, f"let go of {mode}: {count} frames")
            return count

        await self._each(list(self._state.streams), one)

    async def _each(self, streams: list[Stream], action: Callable[[Stream], Awaitable[int]]) -> int:
        """Do something to watches side by side; a client that does not read is cut off. Gives the sum."""

        async def one(stream: Stream) -> int:
            try:
                async with asyncio.timeout(_READ_WITHIN_S):
                    return await action(stream)
            except OSError:  # (also a TimeoutError)
                stream.cut()
                return 0

        return sum(await asyncio.gather(*(one(stream) for stream in streams)))

    def _meant(self, match: Match) -> list[Stream]:
        return [stream for stream in self._state.streams if match.covers_stream(stream.request.info)]


def _server_side(serving: Serving) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols(["http/1.1"])
    tls.load_cert_chain(serving.certificate, serving.key)
    return tls


def _session(serving: Serving) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cafile=str(serving.upstream_ca) if serving.upstream_ca else None)
    return aiohttp.ClientSession(
        proxy=serving.upstream_proxy or None,
        connector=aiohttp.TCPConnector(ssl=trust, limit=0, keepalive_timeout=15.0),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_AHEAD_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )
