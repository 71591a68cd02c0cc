"""`kubeproof bench`: how fast and how small the embedded cluster is."""

from __future__ import annotations


def bench() -> None:
    """Measure the start of an embedded cluster."""
