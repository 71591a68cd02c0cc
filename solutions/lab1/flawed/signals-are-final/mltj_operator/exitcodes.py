"""Which failures are not worth a retry."""

from __future__ import annotations

from .pods import Pod


def permanent(pod: Pod) -> bool:
    """Whether the exit code says that trying again can't help: 1-127, the program's own choice.

    128 and above mean a signal; without a code the node was lost or the pod never started.
    """
    return pod.exit_code is not None and pod.exit_code >= 1
