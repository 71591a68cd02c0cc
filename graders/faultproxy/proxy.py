"""Terminates a program's TLS, records each request, and passes it on unless a rule says otherwise.

One thread serves all of a program's processes. The bearer token passes untouched; the proxy holds no
identity of its own. Only JSON over HTTP/1.1 is negotiated, so that what passes can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from graders.evidence.recorders import Recording
from graders.evidence.records import Disturbance, Exchange
from graders.faultproxy.asked import Asked, Match, read_asked
from graders.faultproxy.rules import Answer, CrashPoint, HeldFrames, InFlight, Rule
from graders.faultproxy.streams import Stream

_MOST_CONNECTIONS = 256
_MOST_BODY_BYTES = 8 * 1024 * 1024
_LARGE_BODY_BYTES = 64 * 1024
_MOST_LARGE_BODIES = 16
_MOST_LINE_BYTES = 16 * 1024 * 1024
_KEEPALIVE_S = 3600.0

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_UNREADABLE = ("protobuf", "cbor")

T = TypeVar("T")


@dataclass(frozen=True)
class Serving:
    """Where the API server is, and what the proxy shows to its clients.

    `upstream_ca` is a PEM file; `certificate` and `key` are PEM files of a serving identity for 127.0.0.1.
    """

    upstream: str
    upstream_ca: Path
    certificate: Path
    key: Path


class FaultProxy:
    """A context manager; `serve` takes a listener of a program's, `disturb` a rule."""

    def __init__(self, serving: Serving, recording: Recording) -> None:
        self._serving = serving
        self._recording = recording
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._rules: list[Rule] = []
        self._streams: dict[int, Stream] = {}
        self._doors: dict[str, _Door] = {}
        self._refusing = False
        self._open = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._prepare())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(RuntimeError, TimeoutError):
            self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    # --- for the scenario ------------------------------------------------------------------------

    @contextlib.contextmanager
    def serve(self, listener: socket.socket, instance: str) -> Iterator[None]:
        """Serve what connects to `listener`, on record as `instance`, while the block runs."""
        # The owner closes its own socket object; a duplicate keeps the two clean-ups independent.
        own = listener.dup()
        door = self._call(self._listen(own, instance))
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
                rule.arm(self._loop, self._note)
                if isinstance(rule, HeldFrames):
                    rule.let_go = lambda mode, rule=rule: self._call(self._release(rule, mode))  # type: ignore[misc]
            self._rules.extend(rules)

        async def end() -> None:
            for rule in rules:
                self._rules.remove(rule)
                rule.disarm()
                if isinstance(rule, HeldFrames):
                    await self._release(rule, "all")

        self._call(begin())
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError, TimeoutError):
                self._call(end())

    def replay(self, name: str, match: Match) -> int:
        """Tell every watch the last news of the objects that are meant once more; gives how many frames."""

        async def do() -> int:
            count = 0
            for stream in self._meant(match):
                count += (sent := await stream.replay(match))
                if sent:
                    self._note(name, stream.request, f"{sent} frames replayed")
            return count

        return self._call(do())

    def expire(self, name: str, match: Match) -> int:
        """End the watches that are meant with `410 Gone`, so that clients list anew; gives how many."""

        async def do() -> int:
            streams = self._meant(match)
            for stream in streams:
                self._note(name, stream.request, "ended with 410 Gone")
                with contextlib.suppress(OSError):
                    await stream.expire()
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
            for door in self._doors.values():
                door.shut()

        self._call(do())

    def accept_connections(self) -> None:
        """End what `refuse_connections` began."""

        async def do() -> None:
            self._refusing = False
            for door in self._doors.values():
                await door.open(self._admit, self._tls)

        self._call(do())

    # --- serving ---------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30.0)

    async def _prepare(self) -> None:
        trust = ssl.create_default_context(cafile=str(self._serving.upstream_ca))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0, keepalive_timeout=15.0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.set_alpn_protocols(["http/1.1"])
        self._tls.load_cert_chain(self._serving.certificate, self._serving.key)
        self._large_bodies = asyncio.Semaphore(_MOST_LARGE_BODIES)

    async def _close(self) -> None:
        await self._session.close()

    async def _listen(self, own: socket.socket, instance: str) -> _Door:
        serving = web.Server(
            lambda request: self._handle(request, instance),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=0.0,
        )
        self._doors[instance] = door = _Door(own, serving)
        if self._refusing:
            door.shut()
        else:
            await door.open(self._admit, self._tls)
        return door

    def _admit(self, serving: web.Server) -> asyncio.Protocol:
        if self._refusing or len(serving.connections) >= _MOST_CONNECTIONS:
            return _Refusal()
        return serving()

    async def _hang_up(self, door: _Door, instance: str) -> None:
        if self._doors.get(instance) is door:
            del self._doors[instance]
        door.shut()
        await door.serving.shutdown(0.5)
        door.own.close()

    async def _handle(self, request: web.BaseRequest, instance: str) -> web.StreamResponse:
        asked = read_asked(request.method, request.raw_path)
        flight = InFlight(asked, instance, self._recording.clock.now())
        rules = [rule for rule in self._rules if rule.match.covers(asked)]
        code = 0
        try:
            async with self._body_of(request) as body:
                if body is None:
                    refusal = Answer(
                        413, "RequestEntityTooLarge", "the request is larger than the API server takes"
                    )
                    code = 413
                    return await _answer(request, refusal)
                flight.body = body
                for rule in rules:
                    answer = await rule.before(flight)
                    if answer is not None:
                        code = answer.code
                        return await _answer(request, answer)
                code, response = await self._forward(request, flight, rules)
                return response
        finally:
            for rule in rules:
                if isinstance(rule, CrashPoint):
                    rule.lost(flight)
            self._record(flight, code, request)

    @contextlib.asynccontextmanager
    async def _body_of(self, request: web.BaseRequest) -> AsyncIterator[bytes | None]:
        """The body of a request, or None if it is too large; few large ones are held at a time."""
        if not request.can_read_body:
            yield b""
            return
        length = request.content_length
        large = length is None or length > _LARGE_BODY_BYTES
        async with self._large_bodies if large else contextlib.nullcontext():
            body = bytearray()
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _MOST_BODY_BYTES:
                    yield None
                    return
            yield bytes(body)

    async def _forward(
        self, request: web.BaseRequest, flight: InFlight, rules: list[Rule]
    ) -> tuple[int, web.StreamResponse]:
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() not in ("host", "accept-encoding", "expect")
        )
        if not _speak_json(headers):
            refusal = Answer(
                406, "NotAcceptable", "only application/json is spoken here; ask for it in Accept"
            )
            return 406, await _answer(request, refusal)
        target = URL(self._serving.upstream + request.raw_path, encoded=True)
        try:
            upstream = await self._session.request(
                request.method, target, headers=headers, data=flight.body or None, allow_redirects=False
            )
        except aiohttp.ClientError:
            return 0, await _answer(request, Answer(abort=True))
        async with upstream:
            for rule in rules:
                answer = await rule.after(flight, upstream.status)
                if answer is not None:
                    return upstream.status, await _answer(request, answer)
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            for name, value in upstream.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, value)
            try:
                await response.prepare(request)
                if flight.asked.verb == "watch" and upstream.status == 200:
                    await self._watch(flight, upstream, response)
                else:
                    async for chunk in upstream.content.iter_any():
                        await response.write(chunk)
                await response.write_eof()
            except (aiohttp.ClientPayloadError, ConnectionError):
                if request.transport is not None:
                    request.transport.abort()
            return upstream.status, response

    async def _watch(
        self, flight: InFlight, upstream: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        stream = Stream(flight, response.write)
        self._streams[id(stream)] = stream
        reading = asyncio.ensure_future(self._pump(stream, upstream))
        ended = asyncio.ensure_future(stream.ended.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            del self._streams[id(stream)]
            for task in (reading, ended):
                task.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def _pump(self, stream: Stream, upstream: aiohttp.ClientResponse) -> None:
        rest = b""
        async for chunk in upstream.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _MOST_LINE_BYTES:
                return
            for line in lines:
                holding = [
                    r for r in self._rules if isinstance(r, HeldFrames) and r.holds(stream.request.asked)
                ]
                await stream.take(line + b"\n", holding)

    async def _release(self, rule: HeldFrames, mode: str) -> None:
        for stream in list(self._streams.values()):
            with contextlib.suppress(OSError):
                count = await stream.release(rule, mode)
                if count or mode == "none":
                    self._note(rule.name, stream.request, f"let go of {mode}: {count} frames")

    def _meant(self, match: Match) -> list[Stream]:
        return [stream for stream in self._streams.values() if match.covers_stream(stream.request.asked)]

    # --- the record ------------------------------------------------------------------------------

    def _note(self, rule: str, request: InFlight, what: str) -> None:
        asked = request.asked
        self._recording.writer.add(
            Disturbance(
                self._recording.clock.now(), rule, request.instance, what,
                asked.verb, asked.resource, asked.subresource, asked.namespace, asked.name,
            )
        )  # fmt: skip
        self._recording.news.ring()

    def _record(self, flight: InFlight, code: int, request: web.BaseRequest) -> None:
        asked: Asked = flight.asked
        self._recording.writer.add(
            Exchange(
                t=flight.t, t_end=self._recording.clock.now(), instance=flight.instance,
                verb=asked.verb, group=asked.group, resource=asked.resource[:200],
                subresource=asked.subresource[:100], namespace=asked.namespace[:100], name=asked.name[:300],
                code=code, rules=tuple(dict.fromkeys(flight.touched)),
                user_agent=request.headers.get("User-Agent", "")[:200],
            )
        )  # fmt: skip


@dataclass
class _Door:
    """One listener: open, or shut so that connecting is refused."""

    own: socket.socket
    serving: web.Server
    server: asyncio.Server | None = None

    async def open(self, admit: Callable[[web.Server], asyncio.Protocol], tls: ssl.SSLContext) -> None:
        """Listen, again if need be."""
        if self.server is None:
            self.own.listen(128)
            # The loop closes the socket it serves; this one shall outlive it.
            self.server = await asyncio.get_running_loop().create_server(
                lambda: admit(self.serving), sock=self.own.dup(), ssl=tls
            )

    def shut(self) -> None:
        """Refuse, and cut what was connected."""
        if self.server is not None:
            self.server.close()
            self.server = None
        with contextlib.suppress(OSError):
            # Shut down, a listening socket refuses; `listen` makes it listen again.
            self.own.shutdown(socket.SHUT_RD)
        for connection in list(self.serving.connections):
            if connection.transport is not None:
                connection.transport.abort()


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut it."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


async def _answer(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Answer in the API server's place, or cut the connection."""
    response = web.Response(
        status=answer.code or 500,
        body=answer.body(),
        headers=CIMultiDict([("Content-Type", "application/json"), *answer.headers]),
    )
    if answer.abort and request.transport is not None:
        request.transport.abort()
    return response


def _speak_json(headers: CIMultiDict[str]) -> bool:
    """Leave only what can be read in `Accept`; False if that is nothing."""
    accepted = headers.get("Accept", "")
    if any(word in accepted for word in _UNREADABLE):
        kept = [part for part in accepted.split(",") if not any(word in part for word in _UNREADABLE)]
        if not kept:
            return False
        headers["Accept"] = ",".join(kept)
    return True
