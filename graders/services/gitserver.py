"""A Git server over HTTP, smart protocol, for bare repositories: `git http-backend` behind a port.

`git_server` runs it as a service. Whoever can reach the port may read and push; who can is for a sandbox's
doors to say. Pushed objects are checked, and no hook of a learner's ever runs: the repositories are ours.
A forced push is taken, and nothing that it leaves behind is removed: what was done stands in the log of the
branch. A push can be held until somebody else's commit is in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.ports import held_ports
from graders.services.service import Service, ServiceSpec

BRANCH = "main"
MOST_PUSHED_BYTES = 64 * 1024 * 1024
MOST_KEPT_BYTES = 256 * 1024 * 1024
"""A repository that is larger takes no push any more."""
PUSHER = "somebody"
"""Whose name the log of a branch has for what came over HTTP."""
_READY_WITHIN_S = 15.0
_CHUNK_BYTES = 64 * 1024
_SETTINGS = {
    "http.receivepack": "true",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(MOST_PUSHED_BYTES),
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "true",
    "gc.auto": "0",
}
_PUSHING = "git-receive-pack"
_HOLD, _HELD = "hold-the-next-push", "a-push-is-held"
_LOOKS_EVERY_S = 0.05


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
        (self.root.parent / _HOLD).touch()

    @property
    def push_is_held(self) -> bool:
        """Whether one waits."""
        return (self.root.parent / _HELD).exists()

    def let_push(self) -> None:
        """Let the push that waits go on, and hold no other."""
        for name in (_HOLD, _HELD):
            (self.root.parent / name).unlink(missing_ok=True)

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
        where = self.root / repository
        commands: tuple[list[str | Path], ...] = (
            ["clone", "--quiet", "--branch", BRANCH, where, folder],
            ["-C", folder, "remote", "set-url", "origin", self.url(repository)],
        )
        for arguments in commands:
            done = subprocess.run(
                ["git", "-c", "core.hooksPath=/dev/null", *arguments],
                capture_output=True, check=False, env=_environment(self.root),
            )  # fmt: skip
            if done.returncode:
                said = done.stderr.decode("utf-8", "replace").strip()[-300:]
                raise InfraFault(f"git cannot clone {repository}: {said}")

    def _git(self, repository: str, *arguments: str) -> bytes | None:
        """What git prints about a repository; None where it fails."""
        done = subprocess.run(
            ["git", "-C", self.root / repository, *arguments],
            capture_output=True, check=False, env=_environment(self.root),
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
        command = [sys.executable, "-P", "-m", __name__, str(root), str(port)]
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
    environment = _environment(root)
    made = ["git", "-C", str(root), "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", name]
    subprocess.run(made, check=True, env=environment)
    for key, value in _SETTINGS.items():
        subprocess.run(["git", "--git-dir", root / name, "config", key, value], check=True, env=environment)


def _environment(root: Path) -> dict[str, str]:
    """Nothing of the user's configuration has a say."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }


class _Backend:
    """Runs `git http-backend` for each request."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request, its body and its answer streamed."""
        if request.query.get("service") == _PUSHING:
            await self._wait_while_held(request)
        if request.path.endswith(_PUSHING) and _size_bytes(self._root) > MOST_KEPT_BYTES:
            said = f"the repository has grown to over {MOST_KEPT_BYTES} bytes, and takes no more"
            return web.Response(status=413, text=said)
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._variables(request),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(_feed(request, process.stdin))
        try:
            status, headers = await _head(process.stdout)
            response = web.StreamResponse(status=status, headers=headers)
            await response.prepare(request)
            while data := await process.stdout.read(_CHUNK_BYTES):
                await response.write(data)
            await response.write_eof()
            return response
        finally:
            feeding.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _wait_while_held(self, request: web.Request) -> None:
        """The first push that comes to it takes the hold, and waits until it is taken away."""
        held = self._root.parent / _HELD
        try:
            (self._root.parent / _HOLD).rename(held)
        except FileNotFoundError:
            return
        while held.exists() and request.transport is not None:
            await asyncio.sleep(_LOOKS_EVERY_S)

    def _variables(self, request: web.Request) -> dict[str, str]:
        return {
            **_environment(self._root),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_USER": PUSHER,
            "REMOTE_ADDR": "127.0.0.1",
        }


def _size_bytes(folder: Path) -> int:
    """What the files below a folder take; some may go meanwhile."""
    size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118
    return size


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        async for data in request.content.iter_chunked(_CHUNK_BYTES):
            stdin.write(data)
            await stdin.drain()
        stdin.close()


async def _head(stdout: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of a CGI answer; 502 where there is none."""
    status, headers = 200, {}
    while (line := (await stdout.readline()).decode("latin-1")).strip():
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name.strip()] = value.strip()
    return (status, headers) if headers else (502, {})


def main() -> None:
    """Serve a folder of repositories on a loopback port until ended."""
    arguments = argparse.ArgumentParser(description="A Git server on loopback.")
    arguments.add_argument("root", type=Path)
    arguments.add_argument("port", type=int)
    given = arguments.parse_args()
    app = web.Application(client_max_size=MOST_PUSHED_BYTES)
    app.router.add_route("*", "/{path:.*}", _Backend(given.root).answer)
    os.umask(0o077)
    web.run_app(app, host="127.0.0.1", port=given.port, print=lambda *_: None, access_log=None)


if __name__ == "__main__":
    main()
