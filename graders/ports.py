"""Ports of this machine that are kept for somebody who comes and goes."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Loopback ports that, while the block runs, nobody gets by chance: they are bound, and do not listen.

    A program that sets SO_REUSEADDR, as every listener of Go's does, can listen there none the less; and
    one that is killed and started again finds its port free.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield tuple(each.getsockname()[1] for each in sockets)
