"""Commands of a hypothesis, in a sandbox from which the API server is the only way out."""

import secrets
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from graders.chaos.account import API_DOOR, ChaosAccount
from graders.chaos.spec import ChaosEnvironment
from graders.escapes import printed_text
from graders.faults import BadSubmission
from graders.kube.addresses import server_address
from graders.sandbox.protocol import ExitStatus, Mount, SandboxSpec, View
from graders.sandbox.relay import relayed
from graders.sandbox.supervision import SandboxedProcess
from graders.scenario.learner import sandbox_spec

_PROGRAMS = "/run/chaos/bin"
_LOOK_EVERY_S = 0.05
# What it prints is its answer, what it complains of is not: a line that nobody knows before parts them.
_APART = '"${@:2}" 2>/tmp/.complaints; code=$?; printf "\\n%s\\n" "$1"; cat /tmp/.complaints; exit $code'


@dataclass(frozen=True)
class EndedCommand:
    """How a command ended, `code` None where it was stopped; what it printed, and said beside that."""

    code: int | None
    how: str
    printed: str
    said: str


class SandboxedCommands:
    """Runs commands of a hypothesis; any thread may."""

    def __init__(
        self, environment: ChaosEnvironment, account: ChaosAccount, name: str, scratch: Path
    ) -> None:
        self._given = environment
        self._account = account
        self._name = name
        self._scratch = scratch
        self._number = 0
        self._lock = threading.Lock()

    def run(self, argv: tuple[str, ...], timeout_s: float, stop: threading.Event) -> EndedCommand:
        """Run a command to its end, for `timeout_s`, or until `stop` is set."""
        with self._lock:
            self._number += 1
            name = f"{self._name}-{self._number}"
        apart = secrets.token_hex(16)
        spec = self._spec(name, ("bash", "-c", _APART, "hypothesis", apart, *argv))
        try:
            process = self._given.sandbox.start(spec)
        except BadSubmission as error:
            return EndedCommand(None, f"cannot be started: {error.problem}", "", "")
        with process:
            with relayed(process.doors[API_DOOR], server_address(self._account.server)):
                status = _wait(process, timeout_s, stop)
                stopped = status is None
                status = status or process.stop()
            text = printed_text(process.log_path.read_bytes())
        printed, _, said = text.partition(f"\n{apart}\n")
        how = f"was stopped after {timeout_s:.1f} s" if stopped else str(status)
        return EndedCommand(None if stopped else status.code, how, printed, said)

    def _spec(self, name: str, command: tuple[str, ...]) -> SandboxSpec:
        given = self._given
        base = sandbox_spec(given.submission, given.runtime, name, self._scratch, command, given.limits)
        return replace(
            base,
            environment=self._environment,
            files=self._account.files,
            doors=(API_DOOR,),
            mounts=(*base.mounts, Mount(_PROGRAMS, given.programs)),
        )

    def _environment(self, view: View) -> dict[str, str]:
        path = f"{self._given.runtime.venv}/bin:{view.mounts[_PROGRAMS]}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "KUBECONFIG": f"{view.files}/kubeconfig"}


def _wait(process: SandboxedProcess, timeout_s: float, stop: threading.Event) -> ExitStatus | None:
    left_s = timeout_s
    while left_s > 0 and not stop.is_set():
        if (status := process.wait(min(_LOOK_EVERY_S, left_s))) is not None:
            return status
        left_s -= _LOOK_EVERY_S
    return process.exit
