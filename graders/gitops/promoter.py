"""Promotion by a command: run again and again beside the fleet, each time in a fresh clone, in the sandbox.

Its only way to act is to push to its own repository; all it knows of the fleet is a file that says what runs
where, and whether it is ready. Each run and each push is put on record; nothing here judges them.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graders.background import BackgroundThread
from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.gitops.pushes import Pushes
from graders.gitops.records import CommandRun
from graders.gitops.releasemanager import REPOSITORY, ReleaseManager
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.kube.workloads import digest_in, is_ready
from graders.sandbox.protocol import ExitStatus, Limits
from graders.sandbox.relay import relayed
from graders.sandbox.supervision import SandboxedProcess
from graders.scenario.fleet import LiveCluster
from graders.scenario.toolroom import ToolRoom
from graders.services.gitcommands import git_identity
from graders.services.githttp import PUSHER
from graders.services.gitserver import GitServer

EVERY_S = 5.0
STATE = "LAB_STATE"
_LOOKS_EVERY_S = 0.25
_ANSWERS_WITHIN_S = 3.0
_MOST_OUTPUT = 2000
_MOST_LOGGED = 4 * 1024 * 1024
_IDENTITY = git_identity("Promotion", "promotion@lab.example")


@dataclass(frozen=True)
class PromotionCommand:
    """What is run: at most `timeout_s` seconds each time; `registry` is its address, host and port.

    `namespace` and `name` are those of the Deployment that is promoted, and of its container.
    """

    argv: tuple[str, ...]
    room: ToolRoom
    limits: Limits
    timeout_s: float
    registry: str
    namespace: str
    name: str

    def seen(self, live: LiveCluster) -> dict[str, Any]:
        """Which digest is to run in an environment, and whether it does; one that is away is not ready."""
        path = resource_path("apps/v1", "deployments", namespace=self.namespace, name=self.name)
        try:
            answer = live.kube.request("GET", path, timeout_s=_ANSWERS_WITHIN_S)
        except InfraFault:
            return {"digest": "", "ready": False}
        if not answer.ok:
            return {"digest": "", "ready": False}
        return {"digest": digest_in(answer.body, self.name), "ready": is_ready(answer.body)}


class Promoter(BackgroundThread):
    """Runs the command every `EVERY_S`, one run at a time; a context manager with a thread."""

    def __init__(
        self,
        command: PromotionCommand,
        server: GitServer,
        manager: ReleaseManager,
        spokes: Mapping[str, LiveCluster],
        folder: Path,
        recording: Recording,
    ) -> None:
        """Nothing runs yet; `folder` is a new one for its scratch."""
        super().__init__("promotion command")
        self._command = command
        self._server = server
        self._spokes = spokes
        self._folder = folder
        self._recording = recording
        self._pushes = Pushes(server, manager, recording)
        self._logged = 0
        self.ended = 0
        """How many runs are over."""
        self.on_push: Callable[[], object] = _nothing
        """Called after each push that moved the branch."""
        self.problem = ""

    def hold_next_push(self) -> None:
        """Let the next push wait until `let_push`."""
        self._server.hold_next_push()

    @property
    def push_is_held(self) -> bool:
        """Whether one waits."""
        return self._server.push_is_held

    def let_push(self, *, hold_another: bool = False) -> None:
        """Let it go on, and hold no other, or the one after it."""
        self._server.let_push(hold_another=hold_another)

    def pushed(self) -> tuple[int, tuple[str, ...]]:
        """How often the branch was pushed to, and what is beside it: that changes by other pushes."""
        moves = sum(move.by == PUSHER for move in self._server.moves(REPOSITORY))
        return moves, self._server.others(REPOSITORY)

    def _run(self) -> None:
        self._folder.mkdir(parents=True)
        nth = 0
        while not self._stop.is_set():
            nth += 1
            began = self._recording.clock.now()
            try:
                self._once(nth)
            except Exception as error:  # (a thread that ends unseen would be held against the learner)
                self.problem = f"the promotion command is not run any more: {error!r}"
                return
            self.ended += 1
            self._stop.wait(max(0.0, began + EVERY_S - self._recording.clock.now()))
        self.let_push()

    def _once(self, nth: int) -> None:
        clone = self._folder / f"clone-{nth}"
        try:
            self._server.clone(REPOSITORY, clone)
        except InfraFault as error:
            if not self._pushes.any:
                raise
            now = self._recording.clock.now()
            self._keep(CommandRun(now, now, nth, None, f"could not be run: {error}"))
            return
        state = {"environments": {name: self._command.seen(live) for name, live in self._spokes.items()}}
        private = self._folder / f"run-{nth}"
        command, git = self._command, self._server.address
        registry = ("127.0.0.1", int(command.registry.rpartition(":")[2]))
        doors = {"git": git, "registry": registry}
        limits = replace(command.limits, wall_s=command.timeout_s)
        spec = command.room.spec(clone, f"promotion-{nth}", private, command.argv, limits)
        rendered = spec.environment
        assert callable(rendered)
        spec = replace(
            spec,
            doors=tuple(doors),
            ports={name: port for name, (_, port) in doors.items()},
            files={"state.json": json.dumps(state, indent=2).encode()},
            environment=lambda view: {**rendered(view), **_IDENTITY, STATE: f"{view.files}/state.json"},
        )
        began = self._recording.clock.now()
        with ExitStack() as leading:
            process = leading.enter_context(command.room.sandbox.start(spec))
            for door, address in doors.items():
                leading.enter_context(relayed(process.doors[door], address))
            status, pushed = self._ended(process)
            text = printed_text(process.log_path.read_bytes())
        pushed += self._noticed()
        shutil.rmtree(clone)
        shutil.rmtree(private, ignore_errors=True)
        if self._stop.is_set() and status.code is None:
            return
        ended = self._recording.clock.now()
        record = CommandRun(
            began, ended, nth, status.code, str(status), text[-_MOST_OUTPUT:], state["environments"], pushed
        )
        self._keep(record)

    def _ended(self, process: SandboxedProcess) -> tuple[ExitStatus, int]:
        """How it ended, and how often it moved the branch till then."""
        pushed = 0
        while (status := process.wait(_LOOKS_EVERY_S)) is None:
            pushed += self._noticed()
            if self._stop.is_set():
                return process.stop(), pushed
        return status, pushed

    def _noticed(self) -> int:
        found = self._pushes.look()
        if found:
            with suppress(ApiRefused, InfraFault):
                self.on_push()
        return found

    def _keep(self, record: CommandRun) -> None:
        """On record, and in a log for the learner: how each run ended, and what it printed."""
        self._recording.writer.add(record)
        told = f"--- run {record.nth} at {record.t:.1f} s: {record.reason}, {record.pushes} pushes\n"
        data = (told + record.output.rstrip() + "\n").encode("utf-8", "replace")
        self._logged += len(data)
        if self._logged <= _MOST_LOGGED:
            with (self._recording.writer.folder / "logs" / "promotion.log").open("ab") as log:
                log.write(data)


def _nothing() -> None:
    return None
