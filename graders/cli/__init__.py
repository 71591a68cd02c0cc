"""The command `kubeproof`: each subcommand is one module here; this one puts them together.

Exit codes: 0 graded, 1 graded below --fail-under, 2 bad usage, course or submission, 3 not graded.
"""

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command

from graders.cli.screen import Screen
from graders.faults import InfraFault, KubeproofError, UsageError, machine_fault
from graders.interrupt import clean_up_on_signals
from graders.paths import COURSE
from graders.surroundings import settle

COMMANDS: Mapping[str, str] = {
    "grade": "graders.cli.grade:grade",
    "judge": "graders.cli.grade:judge",
    "batch": "graders.cli.batch:batch",
    "batch-worker": "graders.cli.batchworker:batch_worker",
    "drill": "graders.cli.drill:drill",
    "setup": "graders.cli.setup:setup",
    "doctor": "graders.cli.doctor:doctor",
    "cluster": "graders.cli.cluster:cluster_app",
    "kind": "graders.cli.kind:kind_app",
    "selftest": "graders.cli.selftest:selftest",
    "enrol": "graders.cli.enrol:enrol",
    "rescore": "graders.cli.rescore:rescore",
    "override": "graders.cli.override:override",
    "history": "graders.cli.enrol:history",
    "export": "graders.cli.gradebooks:export",
    "site": "graders.cli.gradebooks:site",
    "bench": "graders.cli.bench:bench",
    "verify": "graders.cli.verify:verify",
    "sign": "graders.cli.verify:sign",
    "keygen": "graders.cli.verify:keygen",
    "github": "graders.cli.github:github_app",
    "classroom50": "graders.cli.classroom50:classroom50_app",
}
"""Where each subcommand is; only the one that is called is imported, for judging takes a second."""


class _OnDemand(TyperGroup):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand, or None where there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            if cmd_name == "grade":
                found = import_module("graders.cli.laboptions").with_lab_options(found)
            alone.command(cmd_name)(found)
            found = alone
        command = get_command(found)
        command.name = cmd_name
        _say_as_written(command)
        return command


def _say_as_written(command: Any) -> None:
    """Have `--help` print brackets, such as those of a default; they are no markup of rich's."""
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = escape(parameter.help)
    for each in getattr(command, "commands", {}).values():
        _say_as_written(each)


app = typer.Typer(
    cls=_OnDemand,
    name="kubeproof",
    epilog="Exit codes: 0 graded, 1 below --fail-under, 2 bad usage, course or submission, 3 not graded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kubeproof {version('kubeproof')}")
        raise typer.Exit


def _choose_course(folder: Path | None) -> Path | None:
    """Known before a command is looked for: labs may add options to it."""
    if folder is not None:
        os.environ[COURSE] = str(folder.resolve())
    return folder


@app.callback()
def kubeproof(
    course: Annotated[
        Path | None,
        typer.Option(
            envvar=COURSE,
            metavar="DIR",
            callback=_choose_course,
            is_eager=True,
            help="The course: a folder with labs/, rubrics/, solutions/ and graders/. [default: this one]",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Grade Kubernetes labs: start a cluster, witness what a submission does, judge the record."""
    del course


def main() -> None:
    """Run the command; errors of ours become one message and an exit code, never a traceback.

    A bug of ours shows its traceback, and means "not graded": never 1, which says something of a score.
    """
    settle()
    clean_up_on_signals()
    try:
        _see_where_we_are()
        app()
    except KubeproofError as error:
        _end_with(error, 3 if isinstance(error, InfraFault) else 2)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _end_with(UsageError(f"{error.strerror}: {error.filename!r:.80}", fix="name a shorter one"), 2)
        if (fault := machine_fault(error)) is not None:
            _end_with(fault, 3)
        traceback.print_exc()
        sys.exit(3)


def _see_where_we_are() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the folder that you are in is no longer there", fix="cd into one that is"
        ) from error


def _end_with(error: KubeproofError, code: int) -> NoReturn:
    Screen(stderr=True).tell(f"kubeproof: {error}")
    sys.exit(code)
