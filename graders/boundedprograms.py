"""Programs that work on a learner's files outside of a sandbox: each may take so much memory, and no more.

The bound is one of writable memory (`RLIMIT_DATA`), of which a program in Go has what it fills; children
inherit it.
"""

import shlex
from pathlib import Path

MIB_IN_KIB = 1024
OUT_OF_MEMORY = ("out of memory", "cannot allocate memory")
"""What programs say that met their bound."""


def bounded(memory_mib: int) -> tuple[str, ...]:
    """What stands before a program and its arguments; the process stays the same."""
    return ("/bin/sh", "-c", f'{_limit(memory_mib)} && exec "$@"', "bounded")


def write_bounded(script: Path, program: Path, memory_mib: int) -> None:
    """Write a new script that runs `program` with the arguments that it gets, within a bound."""
    text = f'#!/bin/sh\n{_limit(memory_mib)} && exec {shlex.quote(str(program))} "$@"\n'
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)


def _limit(memory_mib: int) -> str:
    return f"ulimit -d {memory_mib * MIB_IN_KIB}"
