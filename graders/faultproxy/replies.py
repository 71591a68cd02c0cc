"""What a client is sent: the API server's answer, one in its place, or a cut connection."""

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from graders.faultproxy.rules import InFlight, RuleAnswer

_PIECE_BYTES = 64 * 1024

CUT = RuleAnswer(abort=True)
OUR_FAULT = RuleAnswer(500, "InternalError", "the request could not be passed on")


class _Plain(web.StreamResponse):
    """An answer that names no server software: the API server names none."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class Flowing(_Plain):
    """Sent as it comes, in pieces: under TLS, whatever is written at once is buffered beyond any limit."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin, with little room for what a client does not read."""
        if request.transport is not None:
            request.transport.set_write_buffer_limits(_PIECE_BYTES)
        return await super().prepare(request)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return when all but a piece or two is on its way."""
        for start in range(0, len(data), _PIECE_BYTES):
            await super().write(data[start : start + _PIECE_BYTES])


class Whole(_Plain, web.Response):
    """Sent at once."""


def answered(
    request: web.BaseRequest, flight: InFlight, answer: RuleAnswer, *, keep_code: bool = False
) -> web.StreamResponse:
    """Answer in the API server's place, or cut the connection."""
    if not keep_code:
        flight.code = answer.code
    headers = CIMultiDict([("Content-Type", "application/json"), *answer.headers])
    if answer.abort:
        cut(request)
    return Whole(status=answer.code or 500, body=answer.body(), headers=headers)


def cut(request: web.BaseRequest) -> None:
    """Drop the client's connection."""
    if request.transport is not None:
        request.transport.abort()
