"""`kubeproof site`: static pages about a class, for staff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from graders.cli.screen import Screen
from graders.site import ClassModel, build_site

LoadClass = Callable[[str], ClassModel]
"""Reads what a store holds of a class; raises `UsageError` or `InfraFault` where it cannot."""


def site_command(load: LoadClass) -> Callable[..., None]:
    """The subcommand, over stores that `load` reads."""

    def make_site(
        store: Annotated[str, typer.Argument(help="The store of a batch: a file or a database URL.")],
        out: Annotated[
            Path,
            typer.Option(
                help="The folder: a new one, an empty one, or one that holds nothing but an earlier site."
            ),
        ] = Path("out/site"),
    ) -> None:
        """Write a site about a class: static pages, to be opened from disk or put behind a login.

        It shows the distribution of scores, how hard each criterion is and how well it discriminates, the
        most common losses with their reasons, the slowest waits, which submissions are alike, and a page for
        each learner. It names learners: it is for staff. A page of `learners/` names its learner alone.

        Example: kubeproof site class.db --out class-site
        """
        written = build_site(load(store), out)
        Screen(highlight=False).print(Text(f"wrote {len(written)} pages: open {written[0]}"), soft_wrap=True)

    return make_site
