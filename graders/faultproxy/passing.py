"""Passes one request on to the API server and the answer back, with the rules' hooks around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from graders.faultproxy.asked import read_asked
from graders.faultproxy.headers import refusal, to_client, to_server
from graders.faultproxy.rules import Answer, CrashPoint, HeldFrames, InFlight, Rule
from graders.faultproxy.streams import Memory, Stream

_MOST_BODY_BYTES = 4 * 1024 * 1024
_LARGE_BODY_BYTES = 64 * 1024
_MOST_LARGE_BODIES = 8
_BODY_WITHIN_S = 30.0
_SMALL_ANSWER_BYTES = 256 * 1024
_MOST_LINE_BYTES = 16 * 1024 * 1024
_COMMITTED_WITHIN_S = 10.0

_CUT = Answer(abort=True)
_TOO_LARGE = Answer(413, "RequestEntityTooLarge", "the request is larger than the API server takes")
_TOO_SLOW = Answer(408, "Timeout", "the request's body did not come")
_OUR_FAULT = Answer(500, "InternalError", "the request could not be passed on")


@dataclass
class Desk:
    """What all requests share; used in the proxy's thread only. `record` puts a finished one on record."""

    upstream: str
    session: aiohttp.ClientSession
    now: Callable[[], float]
    record: Callable[[InFlight, str], None]
    rules: list[Rule] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    fault: Exception | None = None
    """The first thing that went wrong and should not have."""


class Passing:
    """Handles the requests of one program."""

    def __init__(self, desk: Desk, instance: str) -> None:
        self._desk = desk
        self._instance = instance
        self._large_bodies = asyncio.Semaphore(_MOST_LARGE_BODIES)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and put it on record."""
        desk = self._desk
        asked = read_asked(request.method, request.raw_path)
        flight = InFlight(asked, self._instance, desk.now())
        rules = [rule for rule in desk.rules if rule.match.covers(asked)]
        try:
            return await self._answered(request, flight, rules)
        except ConnectionError:
            raise
        except Exception as error:
            desk.fault = desk.fault or error
            return _answer(request, flight, _OUR_FAULT)
        finally:
            for rule in rules:
                if isinstance(rule, CrashPoint):
                    rule.lost(flight)
            desk.record(flight, request.headers.get("User-Agent", ""))

    async def _answered(
        self, request: web.BaseRequest, flight: InFlight, rules: list[Rule]
    ) -> web.StreamResponse:
        refused = refusal(request.method, request.raw_path, request.headers)
        if refused is not None:
            return _answer(request, flight, refused)
        async with self._body(request, flight) as trouble:
            if trouble is not None:
                return _answer(request, flight, trouble)
            for rule in rules:
                answer = await rule.before(flight)
                if answer is not None:
                    return _answer(request, flight, answer)
            try:
                sending = self._send(request, flight)
                upstream = await (self._sheltered(sending, flight, rules) if rules else sending)
            except (aiohttp.ClientError, TimeoutError):
                return _answer(request, flight, _CUT)
            flight.body = b""
        async with upstream:
            for rule in rules:
                answer = await rule.after(flight, upstream.status)
                if answer is not None:
                    return _answer(request, flight, answer)
            flight.code = upstream.status
            return await self._pass_back(request, flight, upstream)

    @contextlib.asynccontextmanager
    async def _body(self, request: web.BaseRequest, flight: InFlight) -> AsyncIterator[Answer | None]:
        """Read the body; few large ones are held at a time, and none that is too large or too slow."""
        length = request.content_length
        if not request.can_read_body:
            yield None
        elif length is not None and length > _MOST_BODY_BYTES:
            yield _TOO_LARGE
        else:
            large = length is None or length > _LARGE_BODY_BYTES
            async with self._large_bodies if large else contextlib.nullcontext():
                yield await _read_body(request, flight)

    def _send(
        self, request: web.BaseRequest, flight: InFlight
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        desk = self._desk
        headers = to_server(request.headers)
        data: object = None
        if flight.body:
            headers["Content-Length"] = str(len(flight.body))
            data = flight.body if len(flight.body) <= _LARGE_BODY_BYTES else _pieces(flight.body)
        return desk.session.request(
            request.method,
            URL(desk.upstream + request.raw_path, encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
        )

    async def _sheltered(
        self, sending: Coroutine[Any, Any, aiohttp.ClientResponse], flight: InFlight, rules: list[Rule]
    ) -> aiohttp.ClientResponse:
        """Send; a client that goes meanwhile does not keep the rules from seeing what was committed."""
        task = asyncio.ensure_future(sending)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not flight.asked.is_write:
                task.cancel()
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(_COMMITTED_WITHIN_S), await task as upstream:
                    for rule in rules:
                        await rule.after(flight, upstream.status)
            raise

    async def _pass_back(
        self, request: web.BaseRequest, flight: InFlight, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        length = upstream.content_length
        try:
            if length is not None and length <= _SMALL_ANSWER_BYTES and request.method != "HEAD":
                body = await upstream.read()
                headers = to_client(upstream.headers, sized=False)
                return _Whole(status=upstream.status, reason=upstream.reason, headers=headers, body=body)
            response = _Flowing(
                status=upstream.status,
                reason=upstream.reason,
                headers=to_client(upstream.headers, sized=True),
            )
            await response.prepare(request)
            if flight.asked.verb == "watch" and upstream.status == 200:
                await self._watch(request, flight, upstream, response)
            else:
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response
        except aiohttp.ClientPayloadError:
            return _answer(request, flight, _CUT, keep_code=True)

    async def _watch(
        self,
        request: web.BaseRequest,
        flight: InFlight,
        upstream: aiohttp.ClientResponse,
        response: web.StreamResponse,
    ) -> None:
        stream = Stream(flight, response.write, lambda: _cut(request), self._desk.memory)
        self._desk.streams.append(stream)
        reading = asyncio.ensure_future(self._pump(stream, upstream))
        ended = asyncio.ensure_future(stream.ended.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            self._desk.streams.remove(stream)
            for task in (reading, ended):
                task.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)
            stream.close()

    async def _pump(self, stream: Stream, upstream: aiohttp.ClientResponse) -> None:
        pending = bytearray()
        async for chunk in upstream.content.iter_any():
            pending += chunk
            if b"\n" not in chunk:
                if len(pending) > _MOST_LINE_BYTES:
                    raise aiohttp.ClientPayloadError("a frame is too long")
                continue
            *lines, rest = bytes(pending).split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                await stream.take(line + b"\n", self._holding(stream))
        if pending:
            await stream.take(bytes(pending), self._holding(stream))
        await stream.drained()

    def _holding(self, stream: Stream) -> list[HeldFrames]:
        asked = stream.request.asked
        return [rule for rule in self._desk.rules if isinstance(rule, HeldFrames) and rule.holds(asked)]


class _Plain(web.StreamResponse):
    """An answer that names no server software: the API server names none."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class _Flowing(_Plain):
    """Sent as it comes."""


class _Whole(_Plain, web.Response):
    """Sent at once."""


async def _read_body(request: web.BaseRequest, flight: InFlight) -> Answer | None:
    body = bytearray()
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _MOST_BODY_BYTES:
                    return _TOO_LARGE
    except TimeoutError:
        return _TOO_SLOW
    except web.RequestPayloadError:
        return Answer(400, "BadRequest", "the request's body is not what its head says")
    flight.body = bytes(body)
    return None


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _LARGE_BODY_BYTES):
        yield body[start : start + _LARGE_BODY_BYTES]


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _answer(
    request: web.BaseRequest, flight: InFlight, answer: Answer, *, keep_code: bool = False
) -> web.StreamResponse:
    """Answer in the API server's place, or cut the connection."""
    if not keep_code:
        flight.code = answer.code
    headers = CIMultiDict([("Content-Type", "application/json"), *answer.headers])
    if answer.abort:
        _cut(request)
    return _Whole(status=answer.code or 500, body=answer.body(), headers=headers)
