"""Waiting for the end of a process that is not a child of the test."""

from __future__ import annotations

import os
import select

ENDED_WITHIN_S = 30.0


def ended(pid: int) -> bool:
    """Whether process `pid`, once killed, has come to its end; its new parent may not have noticed yet.

    A signal is delivered when the receiver is next scheduled, so the end is waited for, not looked for.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], ENDED_WITHIN_S)[0])
    finally:
        os.close(process)
