"""The providers by name; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterProvider
from graders.faults import UsageError

PROVIDERS: Mapping[str, Callable[[], ClusterProvider]] = {"embedded": EmbeddedProvider}


def provider_named(name: str) -> ClusterProvider:
    """The provider of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROVIDERS:
        raise UsageError(f"there is no cluster provider {name!r}", fix=f"use one of {', '.join(PROVIDERS)}")
    return PROVIDERS[name]()
