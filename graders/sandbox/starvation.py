"""How long a program ran, and how long it was ready to run and the machine did not let it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Scheduled:
    """What the kernel's scheduler did with a program so far, in seconds.

    `ran_s` is of all its threads together, `waited_s` of the one that waited longest for a processor: many
    threads that stand in each other's way wait no longer than the clock says.
    """

    ran_s: float = 0.0
    waited_s: float = 0.0


def scheduled(pid: int) -> Scheduled:
    """What `pid` and its descendants had of the processors.

    Read from the kernel's `schedstat` (run time, wait time, slices; nanoseconds); nothing where the
    kernel keeps none, and nothing of threads that ended.
    """
    ran = waited = 0
    for task in _tasks(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _read(f"{task}/schedstat").split()
            waited = max(waited, int(fields[1]))
            ran += int(fields[0])
    return Scheduled(ran / 1e9, waited / 1e9)


def _tasks(pid: int) -> Iterator[str]:
    """The folder of each thread of `pid` and of its descendants.

    Each thread names the children it made: who looked for them among all processes of the machine, ten times
    a second, would take more of the processor than most of what is looked at.
    """
    to_visit, seen = [pid], {pid}
    while to_visit:
        folder = f"/proc/{to_visit.pop()}/task"
        try:
            threads = os.listdir(folder)  # noqa: PTH208  (ten times a second)
        except OSError:
            continue
        for thread in threads:
            task = f"{folder}/{thread}"
            yield task
            with contextlib.suppress(OSError, ValueError):
                children = {int(child) for child in _read(f"{task}/children").split()} - seen
                seen |= children
                to_visit += children


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 1 << 16)
    finally:
        os.close(handle)
