"""Which pods go when a job is over."""

from __future__ import annotations

from collections.abc import Iterable

from .pods import Pod


def leftovers(policy: str, pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """What to delete after the end: all that is still active, and under `All` the rest too.

    `None` and `Running` agree: once a job is Complete, only pods that were scaled away can still
    be active, and once it Failed its active pods go in any case.
    """
    present = (pod for pod in pods if not pod.terminating)
    return tuple(pod for pod in present if pod.active or policy == "All")
