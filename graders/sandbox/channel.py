"""The harness's end of what ties it to a launcher."""

import array
import contextlib
import socket
import struct
import subprocess
from dataclasses import dataclass

from graders.sandbox.logs import BoundedLog

_CREDENTIALS = struct.Struct("3i")
_MOST_BYTES = 8192


@dataclass(frozen=True)
class Message:
    """One message; `sender` is the pid the kernel vouches for, as the host counts."""

    text: str
    sender: int
    descriptors: tuple[int, ...]


@dataclass(frozen=True)
class Channel:
    """Control socket, log pipe, the enclosing process, the log, and what to undo at the end."""

    control: socket.socket
    out: int
    process: subprocess.Popen[bytes]
    log: BoundedLog
    resources: contextlib.ExitStack

    def receive(self) -> Message | None:
        """The next message; None once the other end is closed."""
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.control.recvmsg(_MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        if not data:
            return None
        sender, descriptors = 0, array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content)
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                sender = _CREDENTIALS.unpack(content)[0]
        return Message(data.decode(errors="replace"), sender, tuple(descriptors))
