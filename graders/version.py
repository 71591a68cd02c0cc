"""Which kubeproof this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The version of this kubeproof."""
    return metadata.version("kubeproof")
