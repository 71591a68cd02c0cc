"""Says why a program cannot be started, and what to do about it: read from the program itself.

Runs inside a sandbox, beside the launcher, as the learner's user; nothing of kubeproof can be imported here.
"""
# ruff: noqa: PTH110, PTH112, PTH113, PTH118, PTH123

from __future__ import annotations

import errno
import os
import struct

_HEAD_BYTES, _ELF_HEADER_BYTES = 4096, 64
_ELF, _WINDOWS, _SCRIPT = b"\x7fELF", b"MZ", b"#!"
_MACOS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_MACHINES = {
    3: ("i386", "386"),
    21: ("ppc64le", "ppc64le"),
    22: ("s390x", "s390x"),
    40: ("arm", "arm"),
    62: ("x86_64", "amd64"),
    183: ("aarch64", "arm64"),
    243: ("riscv64", "riscv64"),
}
"""Of an ELF header's e_machine: what `uname -m` says there, and what Go calls it."""

_PT_INTERP = 3


def found(name: str, path: str) -> str:
    """The file that `name` stands for; empty where `path` has none of that name."""
    if "/" in name:
        return name if os.path.lexists(name) else ""
    places = [os.path.join(folder, name) for folder in path.split(":")]
    there = [place for place in places if os.path.isfile(place)]
    return next((place for place in there if os.access(place, os.X_OK)), there[0] if there else "")


def why(name: str, path: str, number: int) -> str:
    """The cause, and a fix on a line of its own; `number` is the error that starting `name` ended with."""
    program = found(name, path)
    if not program:
        return _missing(name)
    if os.path.isdir(program):
        return _told("it is a folder", "name a program in the command")
    head = _head(program)
    return _script(name, head) or _closed(name, number) or _elf(program, head) or _foreign(head, number)


def _missing(name: str) -> str:
    if "/" in name:
        return _told(
            "No such file or directory", "see that it is handed in, and that the command spells it so"
        )
    if os.path.lexists(name):
        return _told("it is not in PATH", f"write ./{name} for the file that is handed in")
    return _told("No such file or directory: it is not in PATH", "name a program that the lab text lists")


def _closed(name: str, number: int) -> str:
    if number != errno.EACCES:
        return ""
    return _told("it is not executable", f"chmod +x {name}; in git, git update-index --chmod=+x {name}")


def _foreign(head: bytes, number: int) -> str:
    if head.startswith((*_MACOS, _WINDOWS)):
        system = "Windows" if head.startswith(_WINDOWS) else "macOS"
        return _told(f"it is a program for {system}", f"build it for Linux ({_own_go()}), as in GOOS=linux")
    if number == errno.ENOEXEC:
        return _told(
            "it is neither a script that begins with #! nor a program of this machine's format",
            f"begin it with a line such as #!/bin/sh, or build it for Linux ({_own_go()})",
        )
    return _told(os.strerror(number), "start it by hand, in a copy of the submission")


def _script(name: str, head: bytes) -> str:
    if not head.startswith(_SCRIPT):
        return ""
    line = head.partition(b"\n")[0]
    if line.endswith(b"\r"):
        return _told(
            f"its first line, {_quoted(line)}, ends in a carriage return, as lines do on Windows",
            f"save it with LF line ends: sed -i 's/\\r$//' {name}; in git, .gitattributes with * text eol=lf",
        )
    words = line[2:].split(maxsplit=1)
    interpreter = os.fsdecode(words[0]) if words else ""
    if not os.path.exists(interpreter):
        return _told(
            f"its first line, {_quoted(line)}, names an interpreter that is not there",
            "name one that is: #!/bin/sh, or #!/usr/bin/env python",
        )
    return ""


def _elf(program: str, head: bytes) -> str:
    if not head.startswith(_ELF) or len(head) < _ELF_HEADER_BYTES:
        return ""
    order = "<" if head[5:6] == b"\x01" else ">"
    (number,) = struct.unpack_from(order + "H", head, 18)
    machine, _ = _MACHINES.get(number, (f"machine {number}", ""))
    ours = os.uname().machine
    if machine != ours:
        return _told(f"it was built for {machine}, and this machine is {ours}", f"build it for {_own_go()}")
    loader = _loader(program, head, order)
    if loader and not os.path.exists(loader):
        return _told(
            f"it needs the program loader {loader}, which is not there",
            "link it statically (CGO_ENABLED=0 go build), or build it against glibc",
        )
    return ""


def _loader(program: str, head: bytes, order: str) -> str:
    """What loads its libraries; empty for a program that is linked statically, or of 32 bits."""
    if head[4:5] != b"\x02":
        return ""
    try:
        (table,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
        for start in range(table, table + size * count, size):
            (kind,) = struct.unpack_from(order + "I", head, start)
            if kind == _PT_INTERP:
                (offset,) = struct.unpack_from(order + "Q", head, start + 8)
                with open(program, "rb") as file:
                    file.seek(offset)
                    return os.fsdecode(file.read(256).partition(b"\0")[0])
    except (struct.error, OSError, ValueError):
        pass
    return ""


def _own_go() -> str:
    ours = os.uname().machine
    return next((f"{ours}, GOARCH={go}" for machine, go in _MACHINES.values() if machine == ours), ours)


def _head(program: str) -> bytes:
    try:
        with open(program, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _quoted(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))


def _told(cause: str, fix: str) -> str:
    return f"{cause}\n  fix: {fix}"
