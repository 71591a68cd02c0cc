"""Runs the kind program for one cluster, with nothing of the user's own in its reach."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.process import kill_group, printing

CREATED_WITHIN_S = 600.0
LOADED_WITHIN_S = 600.0
_HANDED_DOWN = ("PATH", "LANG", "LC_ALL", "KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class KindFailed(InfraFault):
    """The program ended with an error; what it said has been handed on."""


@dataclass(frozen=True)
class Kind:
    """The program, the engine it works with, and the owned folder that is its home."""

    binary: Path
    docker_host: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """All variables it sees: no kubeconfig, docker context, proxy or kind setting of the user's."""
        kept = {name: os.environ[name] for name in _HANDED_DOWN if name in os.environ}
        kept["PATH"] = os.pathsep.join(filter(None, (kept.get("PATH"), _SYSTEM_PATH)))
        return {**kept, "HOME": str(self.folder), "TMPDIR": str(self.folder), "DOCKER_HOST": self.docker_host}

    def create(self, cluster: str, config: Path, image: str, on_line: Callable[[str], None]) -> Path:
        """Make a cluster on the network of its own name; gives kind's kubeconfig, for its administrator.

        Raises:
            KindFailed: it did not work out; `on_line` has been given what kind says about it.
            InfraFault: it did not end within ten minutes.
        """
        kubeconfig = self.folder / "kind.kubeconfig"
        command: list[str | Path] = ["create", "cluster", "--name", cluster, "--image", image]
        command += ["--config", config, "--kubeconfig", kubeconfig]
        self._run(command, on_line, CREATED_WITHIN_S, {"KIND_EXPERIMENTAL_DOCKER_NETWORK": cluster})
        return kubeconfig

    def load(self, cluster: str, images: Sequence[str], nodes: Sequence[str]) -> None:
        """Bring images of the engine's to some of a cluster's nodes.

        Raises:
            InfraFault: it did not work out.
        """
        said: list[str] = []
        try:
            words = ["load", "docker-image", *images, "--name", cluster, "--nodes", ",".join(nodes)]
            self._run(words, said.append, LOADED_WITHIN_S)
        except KindFailed as error:
            raise InfraFault(
                f"{' and '.join(images)} cannot be loaded into the nodes:\n" + "\n".join(said[-8:])
            ) from error

    def _run(
        self,
        arguments: Sequence[str | Path],
        on_line: Callable[[str], None],
        within_s: float,
        more: Mapping[str, str] | None = None,
    ) -> None:
        late = threading.Event()
        command, environment = [self.binary, *arguments], {**self.environment, **(more or {})}
        with printing(command, environment=environment, folder=self.folder) as (process, lines):

            def give_up() -> None:
                late.set()
                kill_group(process)

            alarm = threading.Timer(within_s, give_up)
            alarm.daemon = True
            alarm.start()
            try:
                for line in lines:
                    on_line(line)
                code = process.wait()
            finally:
                alarm.cancel()
        words = " ".join(str(word) for word in arguments[:2])
        if late.is_set():
            raise InfraFault(
                f"`kind {words}` did not end within {within_s:.0f} s",
                fix="look at the machine's load with `kubeproof doctor`",
            )
        if code != 0:
            raise KindFailed(f"`kind {words}` ended with code {code}")
