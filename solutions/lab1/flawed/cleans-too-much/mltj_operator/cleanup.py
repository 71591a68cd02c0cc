"""Which pods go when a job is over."""

from __future__ import annotations

from collections.abc import Iterable

from .pods import Pod


def leftovers(policy: str, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """What to delete after the end: everything."""
    return tuple(pod for pod in pods if not pod.terminating)
