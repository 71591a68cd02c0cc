"""Reads the bodies of a program's requests: none too large or too slow, and few large ones at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from graders.faultproxy.rules import RuleAnswer

_MOST_BYTES = 4 * 1024 * 1024
_LARGE_BYTES = 64 * 1024
_MOST_LARGE = 8
_WITHIN_S = 30.0

_TOO_LARGE = RuleAnswer(413, "RequestEntityTooLarge", "the request is larger than the API server takes")
_TOO_SLOW = RuleAnswer(408, "Timeout", "the request's body did not come")
_NOT_AS_SAID = RuleAnswer(400, "BadRequest", "the request's body is not what its head says")


class Bodies:
    """Of one program; used in the proxy's thread only."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(_MOST_LARGE)

    @contextlib.asynccontextmanager
    async def read(self, request: web.BaseRequest) -> AsyncIterator[bytes | RuleAnswer]:
        """Give the body, or what to answer instead; while the block runs it counts as held."""
        length = request.content_length
        if not request.can_read_body:
            yield b""
        elif length is not None and length > _MOST_BYTES:
            yield _TOO_LARGE
        else:
            large = length is None or length > _LARGE_BYTES
            async with self._large if large else contextlib.nullcontext():
                yield await _read(request)


async def _read(request: web.BaseRequest) -> bytes | RuleAnswer:
    body = bytearray()
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(_WITHIN_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _MOST_BYTES:
                    return _TOO_LARGE
    except TimeoutError:
        return _TOO_SLOW
    except web.RequestPayloadError:
        return _NOT_AS_SAID
    return bytes(body)


def as_data(body: bytes) -> bytes | AsyncIterator[bytes] | None:
    """The body as the HTTP library takes it: in pieces where it is large, None where there is none."""
    if len(body) <= _LARGE_BYTES:
        return body or None
    return _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _LARGE_BYTES):
        yield body[start : start + _LARGE_BYTES]
