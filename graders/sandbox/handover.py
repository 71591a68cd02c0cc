"""Runs a build and hands over what it made: runs inside a sandbox, as the learner.

Usage: handover.py PORT COMMAND...  Nothing of kubeproof can be imported here, and nothing that this sends
is believed outside: learner code can send whatever it likes in its place.

Every regular file below the working folder goes to 127.0.0.1:PORT as path length (2 bytes), mode (2), size
(8, big-endian all), path, content; a path length of 0 ends it.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

_PATIENCE_S = 30.0


def send(folder: Path, port: int) -> None:
    """Send the files below `folder`."""
    with _connected(port) as connection, connection.makefile("wb", buffering=1 << 20) as stream:
        for place, _, names in os.walk(folder):
            for name in sorted(names):
                path = Path(place, name)
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode):
                    continue
                with path.open("rb") as content:
                    shown = os.fsencode(path.relative_to(folder))
                    size_bytes = os.fstat(content.fileno()).st_size
                    stream.write(struct.pack("!HHQ", len(shown), status.st_mode & 0o777, size_bytes) + shown)
                    while chunk := content.read(1 << 20):
                        stream.write(chunk)
        stream.write(struct.pack("!HHQ", 0, 0, 0))


def _connected(port: int) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    code = subprocess.call(sys.argv[2:])
    if code == 0:
        send(Path.cwd(), int(sys.argv[1]))
    if code < 0:
        os.kill(os.getpid(), -code)  # so that the sandbox sees how the build ended
    sys.exit(code)
