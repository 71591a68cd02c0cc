"""A Git server over HTTP, smart protocol, for bare repositories: `git http-backend` behind a port.

`git_server` runs it as a service. Whoever can reach the port may read and push; who can is for a sandbox's
doors to say. Pushed objects are checked, and no hook of a learner's ever runs: the repositories are ours.
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

from graders.ownership import OwnedFolder
from graders.polling import NotYet
from graders.ports import held_ports
from graders.services.service import Service, ServiceSpec

BRANCH = "main"
MOST_PUSHED_BYTES = 64 * 1024 * 1024
_READY_WITHIN_S = 15.0
_CHUNK_BYTES = 64 * 1024
_SETTINGS = {
    "http.receivepack": "true",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(MOST_PUSHED_BYTES),
    "core.hooksPath": "/dev/null",
    "gc.auto": "0",
}


@dataclass(frozen=True)
class GitServer:
    """A server that runs, and where its repositories are on this machine."""

    service: Service
    root: Path
    address: tuple[str, int]

    def url(self, repository: str) -> str:
        """The URL of a repository."""
        host, port = self.address
        return f"http://{host}:{port}/{repository}"

    def commits(self, repository: str) -> tuple[str, ...]:
        """The commits of its branch, newest first; none where nothing was pushed."""
        listed = subprocess.run(
            ["git", "-C", self.root / repository, "rev-list", BRANCH, "--"],
            capture_output=True, text=True, check=False, env=_environment(self.root),
        )  # fmt: skip
        return tuple(listed.stdout.split()) if listed.returncode == 0 else ()

    def content(self, repository: str, path: str, commit: str = BRANCH) -> bytes | None:
        """A file as it is in a commit; None where there is none."""
        shown = subprocess.run(
            ["git", "-C", self.root / repository, "cat-file", "blob", f"{commit}:{path}"],
            capture_output=True, check=False, env=_environment(self.root),
        )  # fmt: skip
        return shown.stdout if shown.returncode == 0 else None


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
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
        }


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
