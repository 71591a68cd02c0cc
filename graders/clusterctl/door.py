"""The door to the control plane that learners' programs have as CLUSTER_CTL: its server, and its grammar.

Whoever knocks is such a program. It can stop and start four processes and the simulators of nodes, and
have etcd's data replaced by a folder that it sends; nothing else is understood.
"""

import contextlib
import json
import selectors
import shutil
import socket
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from graders.clusterctl.records import CONTROL_PLANE_PARTS, ControlCall
from graders.controlplane import ControlPlane
from graders.evidence.recording import Recording
from graders.faults import InfraFault, UsageError
from graders.sandbox.protocol import MIB

CLIENT = Path(__file__).with_name("ctlclient.py")
"""What asks it out of a sandbox: a program of one file."""
DONE, REFUSED, NOT_UNDERSTOOD = 0, 1, 2
NODES = "nodes"
MOST_BYTES, MOST_FILE_BYTES, MOST_FILES = 1024 * MIB, 256 * MIB, 1000
_MOST_WORDS_BYTES = 4096
_SILENT_S = 30.0
_MOST_CALLS = 16
_VERBS = ("stop", "start", "restart")
_SIMULATOR = "kwok"


class NotUnderstood(Exception):
    """A call that the grammar does not have."""


class Refused(Exception):
    """A call that cannot be done as things are."""


@dataclass
class ControlDoor:
    """Answers calls to the control plane of one cluster, and puts them on record."""

    control: ControlPlane
    recording: Recording
    cluster: str
    scratch: Path
    replaced: int = 0
    """How often etcd's data were replaced."""

    @contextlib.contextmanager
    def serve(self, listener: socket.socket) -> Iterator[None]:
        """Answer whoever knocks while the block runs."""
        own = listener.dup()
        own.setblocking(False)
        wake, woken = socket.socketpair()
        calls = threading.BoundedSemaphore(_MOST_CALLS)

        def accept() -> None:
            with selectors.DefaultSelector() as ready:
                ready.register(own, selectors.EVENT_READ)
                ready.register(woken, selectors.EVENT_READ)
                while not any(key.fileobj is woken for key, _ in ready.select()):
                    with contextlib.suppress(BlockingIOError):
                        knock, _ = own.accept()
                        if calls.acquire(blocking=False):
                            threading.Thread(target=self._answer, args=(knock, calls), daemon=True).start()
                        else:
                            knock.close()

        thread = threading.Thread(target=accept, name="cluster-ctl", daemon=True)
        thread.start()
        try:
            yield
        finally:
            wake.send(b"x")
            thread.join(10.0)
            for each in (own, wake, woken):
                each.close()

    def _answer(self, knock: socket.socket, calls: threading.BoundedSemaphore) -> None:
        t = self.recording.clock.now()
        words: tuple[str, ...] = ()
        changes = False
        try:
            with contextlib.suppress(OSError), knock:
                knock.setblocking(True)
                knock.settimeout(_SILENT_S)
                with knock.makefile("rb") as asked:
                    try:
                        words = _words(asked)
                        changes = words[0] != "status"
                        code, said = DONE, self._obey(words, asked)
                    except NotUnderstood as problem:
                        code, said, changes = NOT_UNDERSTOOD, f"{problem}\n", False
                    except (Refused, UsageError, InfraFault) as problem:
                        code, said, changes = REFUSED, f"{problem}\n", False
                call = ControlCall(
                    t, self.recording.clock.now(), words, code, said[:1000], changes, self.cluster
                )
                self.recording.writer.add(call)
                knock.sendall(json.dumps({"code": code, "said": said}).encode())
                knock.shutdown(socket.SHUT_WR)
                _hear_out(knock)
        finally:
            calls.release()

    def _obey(self, words: Sequence[str], asked: IO[bytes]) -> str:
        match words:
            case ["status"]:
                return self._status()
            case ["replace-data-dir", _]:
                return self._replace(asked)
            case [verb, *names] if verb in _VERBS and names:
                components = [each for name in names for each in self._components(name)]
                for name in reversed(components) if verb != "start" else ():
                    self.control.kill(name)
                for name in components if verb != "stop" else ():
                    self.control.start(name)
                return ""
        raise NotUnderstood(
            f"{' '.join(words)[:200]!r} is not understood; there are status, stop NAME…, start NAME…, "
            "restart NAME…, replace-data-dir DIR"
        )

    def _components(self, name: str) -> list[str]:
        if name == NODES:
            return [each for each in self.control.components if each.startswith(_SIMULATOR)]
        if name not in CONTROL_PLANE_PARTS:
            known = ", ".join((*CONTROL_PLANE_PARTS, NODES))
            raise NotUnderstood(f"there is no {name[:100]!r}; there are {known}")
        return [name]

    def _status(self) -> str:
        states = {name: "running" if self.control.alive(name) else "stopped" for name in CONTROL_PLANE_PARTS}
        states["data"] = "present" if (self._data / "member").is_dir() else "empty"
        return "".join(f"{name} {state}\n" for name, state in states.items())

    @property
    def _data(self) -> Path:
        return self.control.etcd.data_folders["etcd"]

    def _replace(self, asked: IO[bytes]) -> str:
        if self.control.alive("etcd"):
            raise Refused("etcd runs, and its data are in use: stop it first")
        folder = Path(tempfile.mkdtemp(prefix="data-", dir=self.scratch))
        try:
            unpack(asked, folder)
            self.control.replace_data("etcd", folder / "data")
            self.replaced += 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return ""


def unpack(stream: IO[bytes], folder: Path) -> None:
    """Write the files and folders of a tar stream below `folder`; nothing else may be in it.

    Raises:
        Refused: it is none, or holds links, strange names, or more than it may.
    """
    total = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for number, member in enumerate(tar):
                name = PurePosixPath(member.name)
                total += member.size
                if name.is_absolute() or ".." in name.parts or not name.parts:
                    raise Refused(f"{member.name[:100]!r} is no place for a file")
                if number > MOST_FILES or total > MOST_BYTES or member.size > MOST_FILE_BYTES:
                    raise Refused("the folder holds more than 1 GiB, or a file of more than 256 MiB")
                if member.isdir():
                    (folder / name).mkdir(parents=True, exist_ok=True)
                elif member.isreg() and (content := tar.extractfile(member)) is not None:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    with (folder / name).open("xb") as out:
                        shutil.copyfileobj(content, out, MIB)
                else:
                    raise Refused(f"{member.name[:100]!r} is neither a file nor a folder")
    except (tarfile.TarError, EOFError, FileExistsError, NotADirectoryError) as error:
        raise Refused(f"the folder did not arrive whole: {error}") from error


def _words(asked: IO[bytes]) -> tuple[str, ...]:
    line = asked.readline(_MOST_WORDS_BYTES + 1)
    try:
        found = json.loads(line) if len(line) <= _MOST_WORDS_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise NotUnderstood("say what is to be done: status, stop, start, restart or replace-data-dir")
    return tuple(found)


def _hear_out(knock: socket.socket) -> None:
    """Take what is still being sent: who hangs up on it takes the answer away from whoever asked."""
    left = MOST_BYTES
    while left > 0 and (data := knock.recv(MIB)):
        left -= len(data)
