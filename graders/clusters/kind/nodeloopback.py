"""Ports of a node's loopback, held by this process: there an API server finds what this machine serves."""

import contextlib
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
    container, number = containers.first_process(node)
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(_listening, process_of(container, number), port).result()
        except OSError as error:
            raise InfraFault(
                f"port {port} of the loopback of node {node} cannot be opened: {error}",
                fix="policy engines beside clusters of kind take root and an engine of this machine; "
                "use --provider embedded",
            ) from error


def process_of(container: str, number: int, proc: Path = Path("/proc")) -> str:
    """The first process of a container as this machine numbers it; the engine says `number`.

    An engine may number processes for itself; the groups of a process name its container.

    Raises:
        ProcessLookupError: there is none.
    """
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            lines = (folder / "status").read_text("utf-8", "replace").splitlines()
            numbers = next(line for line in lines if line.startswith("NSpid:")).split()[1:]
            first = numbers[-2:] == [str(number), "1"]
            if first and container in (folder / "cgroup").read_text("utf-8"):
                return folder.name
    raise ProcessLookupError(f"no process of container {container[:12]} is on this machine")


def _listening(pid: str, port: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if libc.setns(network.fileno(), _NEW_NETWORK) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    return socket.create_server(("127.0.0.1", port))
