"""A port that is held is nobody's by chance, and free for whoever it is held for."""

from __future__ import annotations

import socket

import pytest

from graders.ports import held_ports


def test_a_held_port_can_be_listened_on_again_and_again() -> None:
    with held_ports(1) as (port,):
        for _ in range(2):
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port), timeout=10),
            ):
                server.accept()[0].close()


def test_nobody_listens_on_it_by_itself() -> None:
    with held_ports(1) as (port,), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_whoever_takes_any_port_gets_another() -> None:
    with held_ports(3) as first, held_ports(3) as second:
        assert len({*first, *second}) == 6
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("127.0.0.1", first[0]))
