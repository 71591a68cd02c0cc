"""Ports of a node's loopback, held by this process: there an API server finds what this machine serves."""

import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graders.clusters.kind.containers import Containers
from graders.faults import InfraFault

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of sched.h."""


def loopback_listener(containers: Containers, node: str, port: int) -> socket.socket:
    """A listener on `port` of the node's loopback; whoever connects there is accepted here.

    A socket belongs to the network of the thread that made it, so a thread of its own goes there and ends.

    Raises:
        InfraFault: this process may not go there, or the port is taken.
    """
    pid = containers.pid(node)
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(_listening, pid, port).result()
        except OSError as error:
            raise InfraFault(
                f"port {port} of the loopback of node {node} cannot be opened: {error}",
                fix="policy engines beside clusters of kind take root and an engine of this machine; "
                "use --provider embedded",
            ) from error


def _listening(pid: int, port: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if libc.setns(network.fileno(), _NEW_NETWORK) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    return socket.create_server(("127.0.0.1", port))
