"""The Docker engine that builds, through its own API: only what building and tidying up need.

It is the engine's classic builder that is asked for: each of its steps is a container that can be seen,
measured and stopped. No credentials, proxies or variables of ours are sent along.
"""

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from graders.faults import InfraFault

_CALL_WITHIN_S = 120.0
_CONNECT_WITHIN_S = 10.0
_KILL_WITHIN_S = 2.0
_LONGEST_LINE = 1 << 20

_GONE = (404, 409)
"""Answers that say that somebody else was quicker: it is gone, or just going."""


class BuilderRefused(InfraFault):
    """The engine does not build in the way that is asked of it."""


class BuildEngine:
    """A connection to the engine at `host`; a context manager that closes it."""

    def __init__(self, host: str) -> None:
        """Connect.

        Raises:
            InfraFault: no engine answers there.
        """
        self.host = host
        tls: TLSConfig | bool = False
        with contextlib.suppress(DockerException):
            tls = kwargs_from_env().get("tls", False) if host.startswith("tcp://") else False
        with _speaking("connect"):
            self._api = docker.APIClient(base_url=host, tls=tls, version="auto", timeout=int(_CALL_WITHIN_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    def build(self, context: Path, settings: Mapping[str, str]) -> Generator[dict[str, Any]]:
        """Build from the tar file `context`; yields what the engine says, message by message.

        Raises:
            InfraFault: the engine breaks off, or does not build in this way.
        """
        with context.open("rb") as content, _speaking("build"):
            answer = self._api.post(
                self._url("build"),
                params={**settings, "version": "1"},
                data=content,
                headers={"Content-Type": "application/x-tar"},
                stream=True,
                timeout=(_CONNECT_WITHIN_S, None),
            )
            with answer:
                if answer.status_code != 200:
                    raise BuilderRefused(
                        f"the engine does not build: {answer.text[:300].strip()}",
                        fix="kubeproof needs an engine with Docker's classic builder (API /build, version 1)",
                    )
                yield from _messages(answer.iter_content(64 * 1024))

    def image(self, reference: str) -> dict[str, Any] | None:
        """What the engine says of an image; None if it has none of that name."""
        with _speaking("inspect"):
            try:
                found: dict[str, Any] = self._api.inspect_image(reference)
            except APIError as error:
                if error.status_code in (400, 404):
                    return None
                raise
            return found

    def images(self, label: str) -> list[dict[str, Any]]:
        """All images that have the label, those between steps among them."""
        with _speaking("list images"):
            return list(self._api.images(all=True, filters={"label": label}))

    def containers(self, label: str, *, sizes: bool = False) -> list[dict[str, Any]]:
        """All containers that have the label; with `sizes`, how much they have written (`SizeRw`)."""
        with _speaking("list containers"):
            return list(self._api.containers(all=True, size=sizes, filters={"label": label}))

    def limit_processes(self, container: str, most: int) -> str:
        """Let a running container have no more than `most` processes and threads from now on.

        Gives what the engine says when it does not: of one that is just starting or ending, for instance.
        """
        with _speaking("limit"):
            body = json.dumps({"PidsLimit": most})
            url = self._url(f"containers/{container}/update")
            answer = self._api.post(url, data=body, headers={"Content-Type": "application/json"})
            return "" if answer.status_code == 200 else answer.text[:300].strip() or "it does not say why"

    def kill(self, container: str) -> None:
        """Kill a container that may be gone already; it is not waited for.

        One that printed a lot is dead at once and gone only when somebody has taken all of it.
        """
        url = self._url(f"containers/{container}/kill")
        with _speaking("kill"), contextlib.suppress(requests.Timeout):
            self._api.post(url, timeout=_KILL_WITHIN_S)

    def remove_container(self, container: str) -> None:
        """Remove a container, running or not, with its volumes."""
        with _speaking("remove"), _unless_gone():
            self._api.remove_container(container, v=True, force=True)

    def remove_image(self, image: str) -> None:
        """Remove an image and what of its layers nobody else needs."""
        with _speaking("remove image"), _unless_gone():
            self._api.remove_image(image, force=True)

    def _url(self, path: str) -> str:
        return f"{self._api.base_url}/v{self._api.api_version}/{path}"


@contextlib.contextmanager
def _speaking(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise InfraFault(
            f"the Docker engine does not {what}: {error}", fix="see that the engine runs and has room"
        ) from error


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if error.status_code not in _GONE:
            raise


def _messages(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line; what is none is left out, and so is a line that never ends."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        pending = pending[-_LONGEST_LINE:]
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(pending)
        if isinstance(message, dict):
            yield message
