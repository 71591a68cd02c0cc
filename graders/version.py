"""Which kubeproof this is."""

from importlib import metadata


def version() -> str:
    """The version of this kubeproof."""
    return metadata.version("kubeproof")
