"""A Git server over HTTP, smart protocol, for bare repositories: `git http-backend` behind a port.

`git_server` runs it as a service. Whoever can reach the port may read and push; who can is for a sandbox's
doors to say. Pushed objects are checked, and no hook of a learner's ever runs: the repositories are ours.
A forced push is taken, and nothing that it leaves behind is removed: what was done stands in the log of the
branch. A push can be held until somebody else's commit is in.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.ports import held_ports
from graders.services import githttp
from graders.services.gitcommands import git_environment, run_git
from graders.services.githttp import HELD, HOLD, MOST_PUSHED_BYTES
from graders.services.service import Service, ServiceSpec

BRANCH = "main"
_READY_WITHIN_S = 15.0
_SETTINGS = {
    "http.receivepack": "true",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(MOST_PUSHED_BYTES),
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "true",
    "gc.auto": "0",
}


@dataclass(frozen=True)
class BranchMove:
    """The branch went from one commit to another (40 zeros: from nowhere); `by` is who moved it."""

    before: str
    after: str
    by: str


@dataclass(frozen=True)
class ListedCommit:
    """A commit: its parents, and the first line of its message."""

    sha: str
    parents: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class GitServer:
    """A server that runs, and where its repositories are on this machine."""

    service: Service
    root: Path
    address: tuple[str, int]

    def hold_next_push(self) -> None:
        """Let the next push over HTTP wait, before it is told where the branch is, until `let_push`."""
        (self.root.parent / HOLD).touch()

    @property
    def push_is_held(self) -> bool:
        """Whether one waits."""
        return (self.root.parent / HELD).exists()

    def let_push(self, *, hold_another: bool = False) -> None:
        """Let the push that waits go on, and hold no other, or the one after it."""
        (self.root.parent / HOLD).unlink(missing_ok=True)
        if hold_another:
            self.hold_next_push()
        (self.root.parent / HELD).unlink(missing_ok=True)

    def others(self, repository: str) -> tuple[str, ...]:
        """What is there beside the branch, such as other branches and tags, and where each is."""
        listed = self._git(repository, "for-each-ref", "--format=%(refname) %(objectname)") or b""
        own = f"refs/heads/{BRANCH} "
        return tuple(line for line in listed.decode().splitlines() if not line.startswith(own))

    def moves(self, repository: str) -> tuple[BranchMove, ...]:
        """Every move of the branch, the first one first, forced or not."""
        log = self.root / repository / "logs" / "refs" / "heads" / BRANCH
        text = log.read_text("utf-8", "replace") if log.exists() else ""
        return tuple(_move(line) for line in text[: text.rfind("\n") + 1].splitlines())

    def url(self, repository: str) -> str:
        """The URL of a repository."""
        host, port = self.address
        return f"http://{host}:{port}/{repository}"

    def commits(self, repository: str) -> tuple[str, ...]:
        """The commits of its branch, newest first; none where nothing was pushed."""
        listed = self._git(repository, "rev-list", BRANCH, "--")
        return tuple(listed.decode().split()) if listed else ()

    def between(self, repository: str, without: str, tip: str) -> tuple[ListedCommit, ...]:
        """The commits of `tip` that are none of `without`, newest first; 40 zeros are nowhere."""
        if not tip.strip("0"):
            return ()
        excluded = [f"^{without}"] if without.strip("0") else []
        listed = self._git(repository, "log", "-z", "--format=%H%n%P%n%s", tip, *excluded, "--") or b""
        entries = (entry.split("\n") for entry in listed.decode("utf-8", "replace").split("\0") if entry)
        return tuple(ListedCommit(sha, tuple(parents.split()), subject) for sha, parents, subject in entries)

    def content(self, repository: str, path: str, commit: str = BRANCH) -> bytes | None:
        """A file as it is in a commit; None where there is none."""
        return self._git(repository, "cat-file", "blob", f"{commit}:{path}")

    def clone(self, repository: str, folder: Path) -> None:
        """A clone of the branch in a new folder, whose `origin` is the repository's URL.

        Raises:
            InfraFault: git cannot make it.
        """
        try:
            run_git(self.root, "clone", "--quiet", "--branch", BRANCH, self.root / repository, folder)
            run_git(folder, "remote", "set-url", "origin", self.url(repository))
        except InfraFault as error:
            raise InfraFault(f"git cannot clone {repository}: {error.problem}") from error

    def _git(self, repository: str, *arguments: str) -> bytes | None:
        """What git prints about a repository; None where it fails."""
        done = subprocess.run(
            ["git", "-C", self.root / repository, *arguments],
            capture_output=True, check=False, env=git_environment(self.root),
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else None


@contextlib.contextmanager
def git_server(owner: OwnedFolder, folder: Path, repositories: Sequence[str]) -> Iterator[GitServer]:
    """Have a server with these bare, empty repositories, such as `fleet.git`, while the block runs.

    `folder` is a new one for all of it.

    Raises:
        InfraFault: it does not get ready.
    """
    root = folder / "repositories"
    root.mkdir(parents=True)
    for name in repositories:
        _create(root, name)
    with held_ports(1) as (port,):
        address = ("127.0.0.1", port)

        def answers() -> None:
            try:
                socket.create_connection(address, timeout=1.0).close()
            except OSError as error:
                raise NotYet(str(error)) from error

        # The package is where this module is, whatever the folder: it is started by its own path.
        command = [sys.executable, "-P", "-m", githttp.__name__, str(root), str(port)]
        package = str(Path(__file__).resolve().parents[2])
        spec = ServiceSpec(
            "git server", command, folder, folder / "git-server.log", {"PYTHONPATH": package}, ready=answers
        )
        with Service(spec, owner) as service:
            service.start()
            service.wait_ready(_READY_WITHIN_S)
            yield GitServer(service, root, address)


def _move(line: str) -> BranchMove:
    """A line of a branch's log: two commits, a name, an address in angle brackets, a time, a tab, a word."""
    before, after, rest = line.split(" ", 2)
    return BranchMove(before, after, rest.partition(" <")[0])


def _create(root: Path, name: str) -> None:
    environment = git_environment(root)
    made = ["git", "-C", str(root), "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", name]
    subprocess.run(made, check=True, env=environment)
    for key, value in _SETTINGS.items():
        subprocess.run(["git", "--git-dir", root / name, "config", key, value], check=True, env=environment)
