"""The Kubernetes API over HTTP: JSON in, JSON out, errors that say what to do about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import kopf

from .breaker import Breaker, Unavailable

REQUEST_TIMEOUT_S = 10.0
MERGE_PATCH = "application/merge-patch+json"

Login = Callable[[], kopf.ConnectionInfo]


class Refused(Exception):
    """The API server understood a request and said no."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: {status} {message}")
        self.status = status


class NotFound(Refused):
    """There is no such object (404)."""


class Conflict(Refused):
    """The object changed since it was read, or its name is in use (409)."""


class NotLeading(Exception):
    """A write was held back: another replica may be in charge by now."""


class Api:
    """A client bound to one API server."""

    def __init__(self, login: Login, breaker: Breaker | None = None) -> None:
        self.may_write: Callable[[], bool] = lambda: True
        self._login = login
        self._breaker = breaker or Breaker()
        self._session: aiohttp.ClientSession | None = None
        self._server = ""

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Read an object or a list.

        Raises:
            NotFound: there is no such object.
            Refused: any other answer that a retry won't change.
            Unavailable: no answer, or one that a retry may change.
        """
        return await self.request("GET", path, params=params)

    async def write(
        self, method: str, path: str, body: Mapping[str, Any], *, content_type: str = ""
    ) -> dict[str, Any]:
        """Create, change or delete an object, if this replica is in charge.

        Raises:
            NotLeading: it is not in charge.
            Conflict: a precondition failed.
            NotFound, Refused, Unavailable: as for `get`.
        """
        return await self.request(method, path, body=body, content_type=content_type, fenced=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "",
        fenced: bool = False,
    ) -> dict[str, Any]:
        """Send one request; see `get` and `write` for what it raises."""
        payload = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type or "application/json"} if payload else {}

        async def send() -> tuple[int, bytes]:
            session = self._connected()
            if fenced and not self.may_write():
                raise NotLeading(f"{method} {path}")
            try:
                async with session.request(
                    method, self._server + path, params=params, data=payload, headers=headers
                ) as response:
                    answer = await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unavailable(f"{method} {path}: {error!r}") from error
            if response.status == 401:
                await self.close()  # the token may have been rotated: read it again
            if response.status in (401, 429) or response.status >= 500:
                raise Unavailable(f"{method} {path}: {response.status}")
            return response.status, answer

        status, answer = await self._breaker.run(send)
        return _decoded(status, answer, f"{method} {path}")

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            info = self._login()
            self._server = info.server.rstrip("/")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=info.as_ssl_context()),
                headers={**info.as_http_headers(), "Accept": "application/json"},
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            )
        return self._session


def _decoded(status: int, answer: bytes, what: str) -> dict[str, Any]:
    try:
        decoded = json.loads(answer)
    except ValueError as error:
        raise Unavailable(f"{what}: an answer that is not JSON") from error
    if not isinstance(decoded, dict):
        raise Unavailable(f"{what}: an answer that is not an object")
    if status < 400:
        return decoded
    kinds: dict[int, type[Refused]] = {404: NotFound, 409: Conflict}
    raise kinds.get(status, Refused)(status, what, str(decoded.get("message", "")))
