"""Services that are one engine: they start one after another, and are killed together."""

from graders.services.service import Service


class ServiceGroup:
    """The processes of one engine, in the order they start."""

    def __init__(self, services: tuple[Service, ...], ready_within_s: float) -> None:
        self._services = services
        self._ready_within_s = ready_within_s

    def start(self) -> None:
        """Start all, each once the one before is ready.

        Raises:
            InfraFault: one does not get ready.
        """
        for service in self._services:
            service.start()
            service.wait_ready(self._ready_within_s)

    def kill(self) -> None:
        """SIGKILL all, with what they keep."""
        for service in reversed(self._services):
            service.kill()

    def check_alive(self) -> None:
        """See that all run.

        Raises:
            InfraFault: one does not, and nobody killed it.
        """
        for service in self._services:
            service.check_alive()
