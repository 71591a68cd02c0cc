"""The process of the Git server: `git http-backend` behind a port, for all repositories of a folder."""

import argparse
import asyncio
import contextlib
import os
from pathlib import Path

from aiohttp import web

from graders.services.gitcommands import git_environment

MOST_PUSHED_BYTES = 64 * 1024 * 1024
MOST_KEPT_BYTES = 256 * 1024 * 1024
"""A repository that is larger takes no push any more."""
PUSHER = "somebody"
"""Whose name the log of a branch has for what came over HTTP."""
HOLD, HELD = "hold-the-next-push", "a-push-is-held"
"""Files beside the folder: one asks for the hold, the other says that a push waits."""
_CHUNK_BYTES = 64 * 1024
_PUSHING = "git-receive-pack"
_LOOKS_EVERY_S = 0.05


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
        held = self._root.parent / HELD
        try:
            (self._root.parent / HOLD).rename(held)
        except FileNotFoundError:
            return
        while held.exists() and request.transport is not None:
            await asyncio.sleep(_LOOKS_EVERY_S)

    def _variables(self, request: web.Request) -> dict[str, str]:
        return {
            **git_environment(self._root),
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
