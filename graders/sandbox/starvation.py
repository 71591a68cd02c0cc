"""How long a program ran, and how long it was ready to run and the machine did not let it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil


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
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            for thread in Path(f"/proc/{each.pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    fields = thread.read_text().split()
                    waited = max(waited, int(fields[1]))
                    ran += int(fields[0])
    return Scheduled(ran / 1e9, waited / 1e9)
