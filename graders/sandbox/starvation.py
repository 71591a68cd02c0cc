"""How long a program was ready to run and was not let: time that is the machine's, not the program's."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def kept_waiting_s(pid: int) -> float:
    """Seconds the most patient thread of `pid` and its descendants has waited for a processor so far.

    Read from the kernel's `schedstat` (run time, wait time, slices; nanoseconds); 0 where the kernel
    keeps none. One thread, not the sum: many threads that stand in each other's way wait no longer than
    the clock says.
    """
    longest = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            for thread in Path(f"/proc/{each.pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    longest = max(longest, int(thread.read_text().split()[1]))
    return longest / 1e9
