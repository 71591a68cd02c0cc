"""Packages that a learner makes and publishes, and a learner who asks for them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graders.progress import Silent
from graders.sandbox import Mount, SandboxSpec, sandbox_named
from graders.sandbox.environments import ensure_environment
from graders.sandbox.runtime import Runtime, ensure_runtime


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
) -> Path:
    """A wheel with a module of its name, and `files`."""
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {each}\n" for each in needs)
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n",
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, text in contents.items():
            packed.writestr(path, text)
        packed.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def make_sdist(folder: Path, name: str, setup: str) -> Path:
    """A source package that is built by `setup`, with nothing else needed for it."""
    file = folder / f"{name}-1.0.tar.gz"
    own = '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n'
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    with tarfile.open(file, "w:gz") as packed:
        for path, text in {"setup.py": setup, "pyproject.toml": own, "PKG-INFO": metadata}.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return file


@contextmanager
def index_server(answer: Callable[[str], tuple[int, bytes]], password: str | None = None) -> Iterator[str]:
    """An index on this machine, for user `me`: `answer` gives status and body for a path."""
    secret = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = password is None or self.headers["Authorization"] == secret
            status, body = answer(self.path) if known else (401, b"")
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


class Learner:
    """Somebody who hands in, and publishes packages in the folder `index`."""

    def __init__(self, folder: Path, course: Runtime) -> None:
        self.course = course
        self.folder = folder
        self.index = folder / "index"
        self.index.mkdir()
        self.marker = folder / "it-ran"
        self.mark = f"import pathlib; pathlib.Path({str(self.marker)!r}).write_text('ran')\n"

    def environment(self, requirements: str, name: str = "submission") -> Runtime:
        root = self.folder / name
        root.mkdir(exist_ok=True)
        (root / "requirements.txt").write_text(requirements)
        return ensure_environment(self.course, root, Silent())

    def sandboxed(self, runtime: Runtime, files: Mapping[str, str]) -> SandboxSpec:
        """`python main.py` over a submission of these files, with that environment."""
        root = self.folder / "program"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        beneath = runtime.beneath
        return SandboxSpec(
            submission=root,
            command=("python", "main.py"),
            folder=self.folder / f"scratch-{runtime.venv.name}",
            venv=runtime.venv,
            python=runtime.python,
            base=runtime.base,
            mounts=(Mount(str(beneath), beneath),) if beneath else (),
        )

    def said(self, runtime: Runtime, code: str) -> str:
        """What `code` prints in a sandbox with that environment."""
        spec = self.sandboxed(runtime, {"main.py": code})
        with ExitStack() as started:
            process = started.enter_context(sandbox_named("bubblewrap").start(spec))
            assert process.wait(60.0) is not None, process.log_tail()
            return process.log_path.read_text()

    def made(self) -> list[str]:
        """The complete environments in the cache."""
        return [stamp.parent.name for stamp in (self.folder / "cache").glob("environments/*/complete.json")]


@contextmanager
def publishing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Learner]:
    """A learner whose packages are all that pip finds, with an empty cache; nothing of theirs runs here."""
    found = Learner(folder, ensure_runtime(Silent()))
    monkeypatch.setenv("KUBEPROOF_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(found.index))
    yield found
    assert not found.marker.exists(), "something of the learner's ran on this machine"
