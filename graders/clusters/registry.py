"""The providers by name; a new one is one file and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.provider import ClusterProvider, ProviderOptions
from graders.faults import UsageError

PROVIDERS: Mapping[str, Callable[[ProviderOptions], ClusterProvider]] = {
    "embedded": lambda _: EmbeddedProvider(),
}

VARIABLE = "KUBEPROOF_PROVIDER"
"""Names the provider to take where the command line names none."""


def provider_named(name: str, options: ProviderOptions | None = None) -> ClusterProvider:
    """The provider of that name.

    Raises:
        UsageError: there is none, or the options are not for it.
    """
    if name not in PROVIDERS:
        raise UsageError(f"there is no cluster provider {name!r}", fix=f"use one of {', '.join(PROVIDERS)}")
    return PROVIDERS[name](options or ProviderOptions())


def default_provider() -> str:
    """The provider to take where nobody names one.

    Raises:
        UsageError: `KUBEPROOF_PROVIDER` names none that there is.
    """
    if named := os.environ.get(VARIABLE, ""):
        if named not in PROVIDERS:
            raise UsageError(f"{VARIABLE} names {named!r}", fix=f"use one of {', '.join(PROVIDERS)}")
        return named
    return "embedded"
