"""Passes one request on to the API server and the answer back, with the rules' hooks around it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from graders.faultproxy.answering import Answering
from graders.faultproxy.auditlog import ProxyAuditLog
from graders.faultproxy.bodies import Bodies, as_data
from graders.faultproxy.headers import refusal, to_client, to_server
from graders.faultproxy.holdwatch import HoldWatchEvents
from graders.faultproxy.replies import CUT, OUR_FAULT, Flowing, Whole, answered, cut
from graders.faultproxy.rules import InFlight, Rule, RuleAnswer
from graders.faultproxy.streams import Memory, Stream
from graders.faultproxy.watching import Backlog, Pump
from graders.kube.requestinfo import read_request_info, with_body

_SMALL_ANSWER_BYTES = 256 * 1024
_COMMITTED_WITHIN_S = 10.0


@dataclass
class ProxyState:
    """What all requests share; used in the proxy's thread only. `record` puts a finished one on record."""

    upstream: str
    session: aiohttp.ClientSession
    now: Callable[[], float]
    record: Callable[[InFlight, str], None]
    audit_log: ProxyAuditLog | None = None
    server_name: str | None = None
    """The name to expect in the API server's certificate, where it is not the one in its address."""
    rules: list[Rule] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    answering: Answering = field(default_factory=Answering)
    fault: Exception | None = None
    """The first thing that went wrong and should not have."""


class RequestHandler:
    """Handles the requests of one program."""

    def __init__(self, state: ProxyState, instance: str) -> None:
        self._state = state
        self._instance = instance
        self._bodies = Bodies()
        self._backlog = Backlog()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and put it on record."""
        state = self._state
        info = read_request_info(request.method, request.raw_path)
        flight = InFlight(info, self._instance, state.now())
        rules = [rule for rule in state.rules if rule.match.covers(info)]
        try:
            return await self._answered(request, flight, rules)
        except ConnectionError:
            raise
        except Exception as error:
            state.fault = state.fault or error
            return answered(request, flight, OUR_FAULT)
        finally:
            for rule in rules:
                rule.lost(flight)
            state.record(flight, request.headers.get("User-Agent", ""))

    async def _answered(
        self, request: web.BaseRequest, flight: InFlight, rules: list[Rule]
    ) -> web.StreamResponse:
        watching = flight.info.verb == "watch"
        refused = refusal(request.method, request.raw_path, request.headers, watching=watching)
        if refused is not None:
            return answered(request, flight, refused)
        async with self._bodies.read(request) as body:
            if isinstance(body, RuleAnswer):
                return answered(request, flight, body)
            flight.body = body
            flight.info = with_body(flight.info, body)
            for rule in rules:
                answer = await rule.before(flight)
                if answer is not None:
                    return answered(request, flight, answer)
            audit_log = self._state.audit_log
            if audit_log is not None:
                audit_log.sent(flight, self._state.now(), request.headers.get("User-Agent", ""))
            sent_at = self._state.now()
            try:
                sending = self._send(request, flight)
                sheltered = rules or audit_log is not None
                upstream = await (self._sheltered(sending, flight, rules) if sheltered else sending)
            except (aiohttp.ClientError, TimeoutError):
                return answered(request, flight, CUT)
            flight.body = b""
        if flight.info.verb != "watch":
            self._state.answering.took(sent_at, self._state.now())
        async with upstream:
            if audit_log is not None:
                await self._exchanges(audit_log, flight, upstream)
            for rule in rules:
                answer = await rule.after(flight, upstream.status)
                if answer is not None:
                    return answered(request, flight, answer)
            flight.code = upstream.status
            return await self._pass_back(request, flight, upstream)

    def _send(
        self, request: web.BaseRequest, flight: InFlight
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        state = self._state
        headers = to_server(request.headers, watching=flight.info.verb == "watch")
        if flight.body:
            headers["Content-Length"] = str(len(flight.body))
        return state.session.request(
            request.method,
            URL(state.upstream + request.raw_path, encoded=True),
            headers=headers,
            data=as_data(flight.body),
            allow_redirects=False,
            server_hostname=state.server_name,
        )

    async def _sheltered(
        self, sending: Coroutine[Any, Any, aiohttp.ClientResponse], flight: InFlight, rules: list[Rule]
    ) -> aiohttp.ClientResponse:
        """Send; a client that goes meanwhile does not keep the rules from seeing what was committed."""
        task = asyncio.ensure_future(sending)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not flight.info.is_write:
                task.cancel()
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(_COMMITTED_WITHIN_S), await task as upstream:
                    if self._state.audit_log is not None:
                        await self._exchanges(self._state.audit_log, flight, upstream)
                    for rule in rules:
                        await rule.after(flight, upstream.status)
            raise

    async def _exchanges(
        self, audit_log: ProxyAuditLog, flight: InFlight, upstream: aiohttp.ClientResponse
    ) -> None:
        """The API server has answered: where its log is out of reach, that is noted here."""
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await audit_log.answered(flight, upstream)
        if flight.info.verb != "watch" or upstream.status != 200:
            audit_log.over(flight, upstream, self._state.now())
        else:
            audit_log.begun(flight, upstream, self._state.now())

    async def _pass_back(
        self, request: web.BaseRequest, flight: InFlight, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        length = upstream.content_length
        try:
            if flight.answer is not None:
                headers = to_client(upstream.headers, sized=False)
                return Whole(
                    status=upstream.status, reason=upstream.reason, headers=headers, body=flight.answer
                )
            if length is not None and length <= _SMALL_ANSWER_BYTES and request.method != "HEAD":
                body = await upstream.read()
                headers = to_client(upstream.headers, sized=False)
                return Whole(status=upstream.status, reason=upstream.reason, headers=headers, body=body)
            response = Flowing(
                status=upstream.status,
                reason=upstream.reason,
                headers=to_client(upstream.headers, sized=True),
            )
            await response.prepare(request)
            if flight.info.verb == "watch" and upstream.status == 200:
                await self._watch(request, flight, upstream, response)
            else:
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response
        except aiohttp.ClientPayloadError:
            return answered(request, flight, CUT, keep_code=True)

    async def _watch(
        self,
        request: web.BaseRequest,
        flight: InFlight,
        upstream: aiohttp.ClientResponse,
        response: web.StreamResponse,
    ) -> None:
        state, info = self._state, flight.info

        def holding() -> list[HoldWatchEvents]:
            return [rule for rule in state.rules if isinstance(rule, HoldWatchEvents) and rule.holds(info)]

        stream = Stream(flight, response.write, lambda: cut(request), state.memory)
        state.streams.append(stream)
        try:
            await Pump(stream, self._backlog, holding).run(upstream)
        finally:
            state.streams.remove(stream)
            if state.audit_log is not None:
                state.audit_log.over(flight, upstream, state.now())
