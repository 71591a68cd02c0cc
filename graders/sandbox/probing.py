"""Sees, in the learner's place, whether all that the harness owes a program is there.

Runs inside a sandbox, in the process that becomes the command, as its user and under its limits. Whatever is
missing here would otherwise look like the learner's failure. It takes less than a millisecond.
"""
# ruff: noqa: PTH102, PTH106, PTH112, PTH113, PTH118, PTH123

from __future__ import annotations

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIXES = {
    errno.EACCES: "give everybody the right to read it where it comes from: chmod -R a+rX",
    errno.EAGAIN: "this user runs too many processes on this machine already: end some, or ulimit -u 65536",
    errno.ENOSPC: "free some memory: the sandbox keeps its temporary files there",
}
_NOEXEC = "set KUBEPROOF_STATE to a folder on a file system mounted without noexec"


def lacking(job: dict[str, Any]) -> str:
    """What cannot be had, and how to mend that on a second line; empty if all is there."""
    what = ""
    try:
        for what in job["readable"]:
            _see(what)
        for what in job["writable"]:
            os.rmdir(_new_folder(what))
        what = "another process"
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
    except OSError as error:
        return f"{what} cannot be had in the sandbox: {error.strerror}\n{_FIXES.get(error.errno or 0, '')}"
    return _bars(job["command"][0], job["environment"])


def ends_in_carriage_return(program: str) -> bool:
    """Whether it is a script whose first line does: with `env` in it, that starts and fails obscurely."""
    try:
        with open(program, "rb") as file:
            line = file.read(256).partition(b"\n")[0]
    except (OSError, ValueError):
        return False
    return line.startswith(b"#!") and line.endswith(b"\r")


def _see(path: str) -> None:
    """Read a little of a file, or list a folder and see one file in it."""
    if os.path.isdir(path):
        next(iter(os.scandir(path)), None)
        return
    with open(path, "rb") as file:
        file.read(1)


def _new_folder(folder: str) -> str:
    """Make a folder of no particular name; `tempfile` would be a large import."""
    made = os.path.join(folder, f".kubeproof-{os.getpid()}-{time.monotonic_ns()}")
    os.mkdir(made)
    return made


def _bars(name: str, environment: dict[str, str]) -> str:
    """What of the harness's making keeps a program that is there from being started; empty if nothing."""
    folders = [""] if "/" in name else environment.get("PATH", "").split(":")
    for folder in folders:
        place = os.path.join(folder, name)
        if os.path.isfile(place):
            if os.statvfs(place).f_flag & os.ST_NOEXEC:
                return (
                    f"{place} lies on a file system mounted noexec: nothing there can be started\n{_NOEXEC}"
                )
            break
    return ""
