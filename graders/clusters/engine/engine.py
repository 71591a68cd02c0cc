"""A Docker engine, through Docker's own command line, which kind needs anyway."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from graders.process import printed_by

VARIABLES = ("KUBEPROOF_DOCKER_HOST", "DOCKER_HOST")
"""What names an engine; the first that is set counts."""

_ANSWER_WITHIN_S = 20.0
_CALL_WITHIN_S = 120.0


@dataclass(frozen=True)
class Engine:
    """An engine at `host`, such as unix:///var/run/docker.sock."""

    host: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Our environment, in which docker and kind mean this engine."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def answers(self) -> bool:
        """Whether an engine can be used at `host`."""
        command = [*self.command("version"), "--format", "{{.Server.Version}}"]
        try:
            run = subprocess.run(command, capture_output=True, timeout=_ANSWER_WITHIN_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return run.returncode == 0

    def image_id(self, reference: str) -> str | None:
        """The id of an image that the engine has."""
        return self._inspect(reference, "{{json .Id}}")

    def image_label(self, reference: str, label: str) -> str | None:
        """What an image that the engine has says under `label`."""
        return self._inspect(reference, f'{{{{json (index .Config.Labels "{label}")}}}}')

    def _inspect(self, reference: str, template: str) -> str | None:
        command = self.command("image", "inspect", "--format", template, reference)
        run = subprocess.run(command, capture_output=True, timeout=_CALL_WITHIN_S, check=False)
        return str(json.loads(run.stdout)) if run.returncode == 0 else None

    def call(self, *arguments: str, stdin: IO[bytes] | None = None, timeout_s: float = _CALL_WITHIN_S) -> str:
        """Run a docker command and give what it printed.

        Raises:
            InfraFault: it failed, or took longer than `timeout_s`.
        """
        title = f"docker {' '.join(arguments[:2])}"
        source = stdin if stdin is not None else subprocess.DEVNULL
        return printed_by(self.command(*arguments), title, stdin=source, timeout_s=timeout_s)

    def command(self, *arguments: str) -> Sequence[str]:
        """The command line of a docker command for this engine."""
        return ["docker", "--host", self.host, *arguments]


def named_engine() -> Engine | None:
    """The engine that the environment names."""
    for variable in VARIABLES:
        if host := os.environ.get(variable):
            return Engine(host)
    return None


def usual_engine() -> Engine | None:
    """The engine of docker's current context, if it answers."""
    if shutil.which("docker") is None:
        return None
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_ANSWER_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    engine = Engine(run.stdout.strip() or "unix:///var/run/docker.sock")
    return engine if engine.answers() else None


def lacking_capability(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this machine cannot give CAP_SYS_RESOURCE to anybody."""
    for line in status.read_text("ascii", "replace").splitlines():
        name, _, value = line.partition(":")
        if name == "CapBnd":
            return not int(value, 16) >> 24 & 1
    return False
