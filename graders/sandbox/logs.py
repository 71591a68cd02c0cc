"""A log that cannot grow: its first part, its last part, and how much is missing between."""

import contextlib
import os
from pathlib import Path
from threading import Lock

from graders.escapes import printed_text

KEEP_BYTES = 512 * 1024


class BoundedLog:
    """Takes any amount; keeps the first and the last `keep_bytes`. Thread-safe.

    The first part is on disk at once, the last part after `close`.
    """

    def __init__(self, path: Path, keep_bytes: int = KEEP_BYTES) -> None:
        self.path = path
        self.total_bytes = 0
        self._keep = keep_bytes
        self._tail = bytearray()
        self._lock = Lock()
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Add `data`."""
        with self._lock:
            room = max(0, self._keep - self.total_bytes)
            self.total_bytes += len(data)
            if room:
                # A full disk is no reason to stop reading: the printing process would stand still.
                with contextlib.suppress(OSError):
                    self._file.write(data[:room])
            self._tail += data[room:]
            # Trimmed in large steps: a ring costs nothing then, however much is printed.
            if len(self._tail) > 2 * self._keep:
                del self._tail[: -self._keep]

    def tail(self, lines: int) -> str:
        """The last lines, without escape sequences; bytes that are no UTF-8 are replaced."""
        with self._lock:
            data = bytes(self._tail[-self._keep :])
            if len(data) < self._keep:
                data = self.path.read_bytes()[: min(self.total_bytes, self._keep)] + data
        return "\n".join(printed_text(data).splitlines()[-lines:])

    def close(self) -> None:
        """Write the last part, after a line that says how much was left out; then `write` must end."""
        with self._lock:
            if self._file.closed:
                return
            tail = self._tail[-self._keep :]
            dropped = max(0, self.total_bytes - self._keep - len(tail))
            if dropped:
                self._file.write(f"\n[kubeproof left out {dropped} bytes here]\n".encode())
            self._file.write(tail)
            self._file.close()
