"""Runs pip as a program that starts no other: it can fetch and unpack, and has no way to build.

`--only-binary :all:` is no wall. A wheel may depend on `name @ https://...`, and what lies there pip
clones and builds, as us and outside every sandbox. All that goes through a program of its own, so none is
started; an audit hook, once set, cannot be taken off again. Run by path with `python -I`; imports nothing of
kubeproof.
"""

from __future__ import annotations

import resource
import runpy
import shutil
import sys

REFUSAL = "kubeproof installs wheels only: nothing is built or cloned"

_STARTS = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")
_MEMORY_BYTES = 4 * 1024**3
_FILE_BYTES = 4 * 1024**3
_KEYRING = shutil.which("keyring")
"""The user's own setting may have pip ask this program for the password of an index."""


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith(_STARTS):
        return
    if event == "subprocess.Popen" and _KEYRING is not None:
        command = arguments[1]
        if isinstance(command, list) and command[:1] == [_KEYRING] and arguments[0] in (None, _KEYRING):
            return
    raise PermissionError(REFUSAL)


def _bound(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    _bound(resource.RLIMIT_AS, _MEMORY_BYTES)
    _bound(resource.RLIMIT_FSIZE, _FILE_BYTES)
    sys.addaudithook(_refuse)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
