"""Finds out within a moment whether a Docker engine of this machine answers; needs nothing of Docker's."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from graders.clusters.engine.engine import VARIABLES

UNIX = "unix://"
ANSWERS_WITHIN_S = 0.4
_PING = b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n"
_STATUS = b"HTTP/1.0 200"


def answering_engine() -> str | None:
    """The address of the engine to use, if it answers; one that the environment names counts alone."""
    return next((host for host in candidates() if answers(host)), None)


def candidates() -> Iterator[str]:
    """Where an engine may be: where the environment says, or the system's place, or the user's own."""
    for variable in VARIABLES:
        if host := os.environ.get(variable):
            yield host
            return
    yield f"{UNIX}/var/run/docker.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    yield f"{UNIX}{runtime}/docker.sock"
    for desktop in ("desktop", "run"):
        yield f"{UNIX}{Path.home()}/.docker/{desktop}/docker.sock"


def answers(host: str) -> bool:
    """Whether an engine answers at `host`; one on another machine does not count."""
    if not host.startswith(UNIX):
        return False
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWERS_WITHIN_S)
            connection.connect(host.removeprefix(UNIX))
            connection.sendall(_PING)
            said = b""
            while len(said) < len(_STATUS) and (more := connection.recv(1024)):
                said += more
    except (OSError, ValueError):
        return False
    return said.startswith((_STATUS, b"HTTP/1.1 200"))
