"""Hands on the API server's audit log line by line, from a file that it writes inside its node.

The file lies in a folder that is mounted into the node. It is polled: inotify does not see what a virtual
machine writes into a shared folder, and a look costs some microseconds.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

LOOKS_EVERY_S = 0.005
_CHUNK_BYTES = 1 << 20
_ENDS_WITHIN_S = 10.0


class AuditTail:
    """Calls `on_line` with every complete line (bytes, no newline) of `path`, in order, from a thread."""

    def __init__(self, path: Path, on_line: Callable[[bytes], None]) -> None:
        """Make the file, for its owner alone and ours, so that we can read what root in the node appends."""
        self._path = path
        self._on_line = on_line
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._file = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
        self._rest = b""

    def start(self) -> None:
        """Begin to follow the file."""
        self._thread.start()

    def stop(self) -> None:
        """Hand on what is there still, once nobody writes any more, and end."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(_ENDS_WITHIN_S)
        os.close(self._file)

    def _run(self) -> None:
        while not self._ending.wait(LOOKS_EVERY_S):
            self._catch_up()
        self._catch_up()

    def _catch_up(self) -> None:
        self._drain()
        if self._begun_anew():
            # What came between the last look and the new file; nothing comes after it.
            self._drain()
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._drain()

    def _drain(self) -> None:
        while chunk := os.read(self._file, _CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"{"):
                    self._on_line(line)

    def _begun_anew(self) -> bool:
        """Whether a file that got too long was put aside and another has its name."""
        try:
            there = os.stat(self._path)  # noqa: PTH116  (beside fstat)
        except FileNotFoundError:
            return False
        return there.st_ino != os.fstat(self._file).st_ino
