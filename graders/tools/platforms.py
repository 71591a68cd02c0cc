"""The platforms that programs are had for."""

import platform
from dataclasses import dataclass

from graders.faults import UsageError

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Platform:
    """An operating system and architecture in Go's words."""

    system: str
    arch: str

    def __str__(self) -> str:
        return f"{self.system}-{self.arch}"


def machine_platform() -> Platform:
    """The platform at hand.

    Raises:
        UsageError: embedded clusters do not run here; the message says which providers do.
    """
    system, machine = platform.system(), platform.machine()
    arch = _ARCHITECTURES.get(machine.lower())
    if system != "Linux" or arch is None:
        raise UsageError(
            f"embedded clusters run on Linux x86-64 and arm64, and this machine is {system} {machine}",
            fix="use `--provider kind` (needs a Docker engine) or "
            "`--provider existing --kubeconfig FILE` (any cluster you may use)",
        )
    return Platform("linux", arch)
