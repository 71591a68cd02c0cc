"""An image registry: in memory, on loopback, with a port of its own; served by `crane`."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.ports import held_ports
from graders.services.service import Service, ServiceSpec

_CONNECTS_WITHIN_S = 5.0
_READY_WITHIN_S = 30.0


@contextlib.contextmanager
def registry(owner: OwnedFolder, folder: Path, program: Path) -> Iterator[str]:
    """Have an empty registry while the block runs; gives its address, host:port.

    Raises:
        InfraFault: it does not get ready.
    """
    folder.mkdir()
    with held_ports(1) as (port,):

        def answers() -> None:
            try:
                check_registry(f"127.0.0.1:{port}")
            except InfraFault as error:
                raise NotYet(str(error)) from error

        command: list[str | Path] = [program, "registry", "serve", "--address", f"127.0.0.1:{port}"]
        spec = ServiceSpec("registry", command, folder, folder / "registry.log", ready=answers)
        with Service(spec, owner) as service:
            service.start()
            service.wait_ready(_READY_WITHIN_S)
            yield f"127.0.0.1:{port}"


def check_registry(address: str) -> None:
    """See that a registry can be reached at its address, host:port.

    Raises:
        InfraFault: it cannot.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECTS_WITHIN_S).close()
    except OSError as error:
        raise InfraFault(f"the image registry does not answer: {error}") from error
