"""`kubeproof export` and `kubeproof site`, over stores."""

from pathlib import Path
from typing import Annotated

import typer

from graders.cli.classbook import class_of, folders_by_lab, gradebook_of
from graders.cli.export import export_command
from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen
from graders.cli.storing import StoreArgument
from graders.site import build_site

export = export_command(gradebook_of)


def site(
    store: StoreArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for the site: a new one, or that of an earlier site.")
    ] = Path("out/site"),
    submissions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAB=FOLDER",
            help="What was handed in for a lab, to find submissions that are alike (may be repeated).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a site for the class: how everybody did, what was lost most and why, a page for each learner.

    Static pages that need no network and run no script; for staff, for it shows everybody's results.

    Example: kubeproof site class.db --out site --submissions 1=submissions/
    """
    with TerminalProgress(Screen(stderr=True)) as progress, progress.task("making the site"):
        files = build_site(class_of(store, folders_by_lab(submissions or [])), out)
    Screen().tell(f"wrote {len(files)} pages: {files[0]}")
