"""The providers by name; a new one is one file and one line here."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module

from graders.clusters.engine.probing import answering_engine
from graders.clusters.provider import ClusterProvider, ProviderOptions
from graders.faults import UsageError
from graders.model import Capability

MODULES: Mapping[str, str] = {
    "embedded": "graders.clusters.embedded",
    "existing": "graders.clusters.existing.provider",
    "kind": "graders.clusters.kind.provider",
}
"""Each has a `provider(options)`, and is imported when it is asked for: others need none of it."""


def _imported(module: str, options: ProviderOptions) -> ClusterProvider:
    made: ClusterProvider = import_module(module).provider(options)
    return made


PROVIDERS: Mapping[str, Callable[[ProviderOptions], ClusterProvider]] = {
    name: partial(_imported, module) for name, module in MODULES.items()
}

_FOR = {"kubeconfig": "existing", "context": "existing", "node_image": "kind"}
"""The provider that each option is for: an option that would be passed over in silence is a mistake."""

_BY_ENGINE = "kind"
"""The provider that is taken by itself where a Docker engine answers."""

VARIABLE = "KUBEPROOF_PROVIDER"
"""Names the provider to take where the command line names none."""


def provider_named(name: str, options: ProviderOptions | None = None) -> ClusterProvider:
    """The provider of that name.

    Raises:
        UsageError: there is none, or the options are not for it.
    """
    if name not in PROVIDERS:
        raise UsageError(f"there is no cluster provider {name!r}", fix=f"use one of {', '.join(PROVIDERS)}")
    options = options or ProviderOptions()
    for option, meant in _FOR.items():
        if getattr(options, option) and name != meant:
            flag = option.replace("_", "-")
            raise UsageError(
                f"--{flag} is for provider {meant}, and this is provider {name}",
                fix=f"add --provider {meant}, or leave --{flag} out",
            )
    return PROVIDERS[name](options)


def default_provider(needs: Iterable[Capability] = ()) -> str:
    """The provider to take where nobody names one, for a lab that needs this of its clusters.

    It is kind where a Docker engine of this machine answers and kind can show all of it, else embedded.

    Raises:
        UsageError: `KUBEPROOF_PROVIDER` names none that there is.
    """
    if named := os.environ.get(VARIABLE, ""):
        if named not in PROVIDERS:
            raise UsageError(f"{VARIABLE} names {named!r}", fix=f"use one of {', '.join(PROVIDERS)}")
        return named
    shown = provider_named(_BY_ENGINE).capabilities
    return _BY_ENGINE if set(needs) <= shown and answering_engine() else "embedded"
