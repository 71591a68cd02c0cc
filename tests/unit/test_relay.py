"""The relay between a sandbox's listener and the API server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from graders.sandbox.relay import Relay


@pytest.fixture
def target() -> Iterator[tuple[str, int]]:
    """The address of a server that answers every connection with what it was sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(connection.recv(100))

        thread = threading.Thread(target=echo, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5.0)


def test_what_is_sent_arrives_and_is_answered(target: tuple[str, int]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay(listener, target),
        socket.create_connection(listener.getsockname(), 5.0) as client,
    ):
        client.sendall(b"a line")
        assert client.recv(100) == b"a line"


def test_ending_it_cuts_what_is_connected(target: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Relay(listener, target):
            client = socket.create_connection(listener.getsockname(), 5.0)
            client.sendall(b"a line")
            assert client.recv(100) == b"a line"
        with client:
            assert client.recv(100) == b""


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_program_that_ends_at_once_ends_it_quietly(target: tuple[str, int]) -> None:
    before = threading.active_count()
    for _ in range(200):
        with socket.create_server(("127.0.0.1", 0)) as listener, Relay(listener, target):
            pass
    assert threading.active_count() == before


def test_a_listener_that_cannot_be_served_is_said_at_once(target: tuple[str, int]) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other, pytest.raises(ValueError, match=r"(?i)stream"), Relay(one, target):
        pass
