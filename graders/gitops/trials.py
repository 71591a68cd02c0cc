"""A program of a learner's, tried on commits: each in a fresh clone, in the sandbox."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.evidence.records import ToolRun
from graders.sandbox.protocol import Limits, Reason
from graders.sandbox.relay import relayed
from graders.scenario.toolroom import ToolRoom
from graders.services.gitcommands import git_identity, run_git

_WAIT = """
import os, socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        time.sleep(0.02)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""The registry is reached at its own address, which is led through once the sandbox is there."""
_MOST_OUTPUT = 4000
MOST_HUNG = 2
"""Commits in a row on which a program may not end; on the others it is not run then."""
_DEVELOPER = git_identity("Developer", "developer@lab.example")


@dataclass(frozen=True)
class TriedCommit:
    """One commit: the files it changes, and whether it breaks something."""

    name: str
    kind: str
    files: Mapping[str, bytes | None]


@dataclass(frozen=True)
class CommitTrial:
    """How the program `name` is run; `registry` is that of the images, host and port, `folder` a new one."""

    name: str
    command: tuple[str, ...]
    room: ToolRoom
    limits: Limits
    folder: Path
    registry: str

    def try_all(self, bare: Path, base: str, tried: list[TriedCommit], recording: Recording) -> None:
        """Run it on each commit, one after another, made on top of the commit `base` of `bare`.

        Raises:
            InfraFault: the sandbox cannot be made, or git fails.
        """
        self.folder.mkdir(parents=True)
        # Others may rewrite what is there: this is about what was handed in.
        own = self.folder / "own.git"
        _git(self.folder, "clone", "--quiet", "--bare", str(bare), str(own))
        hung = 0
        for case in tried:
            if hung == MOST_HUNG:
                recording.writer.add(self._left_out(case, recording))
                continue
            clone = self.folder / case.name
            _git(self.folder, "clone", "--quiet", str(own), str(clone))
            _git(clone, "reset", "--quiet", "--hard", base)
            for path, content in case.files.items():
                (clone / path).parent.mkdir(parents=True, exist_ok=True)
                (clone / path).write_bytes(content or b"")
            # Whatever a .gitignore of theirs says.
            _git(clone, "add", "--all", "--force", ".")
            _git(clone, "commit", "--quiet", "--allow-empty", "--message", f"Add {case.name}")
            run, ended = self._run(case, clone, recording)
            hung = 0 if ended else hung + 1
            recording.writer.add(run)
            shutil.rmtree(clone)

    def _left_out(self, case: TriedCommit, recording: Recording) -> ToolRun:
        why = f"was not run: it had not ended on the {MOST_HUNG} commits before"
        name = f"{self.name}/{case.kind}/{case.name}"
        return ToolRun(recording.clock.now(), name, self.command, None, 0.0, "", why)

    def _run(self, case: TriedCommit, clone: Path, recording: Recording) -> tuple[ToolRun, bool]:
        """How it went on a commit, and whether it ended by itself."""
        port = self.registry.rpartition(":")[2]
        command = (str(self.room.runtime.python), "-c", _WAIT, port, *self.command)
        name, private = f"{self.name}-{case.name}", self.folder / f"{case.name}-sandbox"
        spec = self.room.spec(clone, name, private, command, self.limits)
        started = time.monotonic()
        with (
            self.room.sandbox.start(spec) as process,
            process.listen(int(port)) as door,
            relayed(door, ("127.0.0.1", int(port))),
        ):
            wall_s = self.limits.wall_s or 60.0
            # The sandbox looks at the clock, too: whoever comes first.
            status = process.wait(wall_s) or process.stop()
            text = printed_text(process.log_path.read_bytes())
        took_s = round(time.monotonic() - started, 3)
        name = f"{self.name}/{case.kind}/{case.name}"
        ended = status.reason not in (Reason.HARNESS, Reason.WALL)
        how = str(status) if ended else f"had not ended after {wall_s:g} s"
        run = ToolRun(
            recording.clock.now(), name, self.command, status.code, took_s, text[-_MOST_OUTPUT:], how
        )
        return run, ended


def _git(folder: Path, *arguments: str) -> None:
    run_git(folder, *arguments, identity=_DEVELOPER)
