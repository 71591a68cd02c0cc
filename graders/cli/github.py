"""`kubeproof github`: what a workflow's steps call, and nobody needs to type."""

import os
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from graders.cli.screen import print_raw
from graders.github.publish import published, write
from graders.github.runner import runner_files

github_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What the steps of a GitHub workflow call; see docs/github.md.",
)


@github_app.callback()
def _group() -> None:
    """Have the app be a group, also while it has one command alone."""


@github_app.command()
def publish(
    out: Annotated[Path, typer.Argument(help="The folder that `kubeproof grade --out` wrote.")],
    submission: Annotated[str, typer.Option(help="The submission's folder in the workspace.")] = ".",
) -> None:
    """Publish a grading: outputs and summary of the step, annotations on the learner's files and lines."""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE", "."))
    found = published(out, submission=PurePosixPath(submission), workspace=workspace)
    write(found, runner_files(os.environ))
    print_raw("".join(f"{line}\n" for line in found.lines))
