"""The options that say where a cluster comes from; the same for every command that starts one."""

from pathlib import Path
from typing import Annotated

import typer

ProviderOption = Annotated[
    str | None,
    typer.Option(
        help="Where the cluster comes from: kind (real nodes in Docker), embedded (local processes, "
        "simulated nodes) or existing (one you have). [default: $KUBEPROOF_PROVIDER, or kind where a Docker "
        "engine answers and kind shows what the lab needs, or embedded]",
        show_default=False,
    ),
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        help="With --provider existing: the kubeconfig file of your cluster. [default: $KUBECONFIG, or "
        "~/.kube/config]",
        show_default=False,
    ),
]
ContextOption = Annotated[
    str,
    typer.Option(
        help="With --provider existing: the context to use. It is never guessed, not even where there is "
        "only one. Everything that is made there is removed again.",
        show_default=False,
    ),
]
NodeImageOption = Annotated[
    str,
    typer.Option(
        help="With --provider kind: the image of the nodes, instead of the pinned one.", show_default=False
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=8,
        help="With --provider kind: worker nodes of the cluster in which the submission's own image runs. "
        "With fewer than two no node is lost there.",
    ),
]
