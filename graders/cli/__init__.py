"""The command `kubeproof`: each subcommand is one module here; this one puts them together.

Exit codes: 0 graded, 1 graded below --fail-under, 2 bad usage, course or submission, 3 not graded.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from graders.cli.bench import bench
from graders.cli.cluster import cluster_app
from graders.cli.doctor import doctor
from graders.cli.grade import grade, judge
from graders.cli.interrupt import clean_up_on_signals
from graders.cli.selftest import selftest
from graders.cli.setup import setup
from graders.faults import InfraFault, KubeproofError

app = typer.Typer(
    name="kubeproof",
    help="Grades Kubernetes labs: starts a cluster, witnesses what a submission does, judges the record.",
    epilog="Exit codes: 0 graded, 1 below --fail-under, 2 bad usage, course or submission, 3 not graded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(grade)
app.command()(judge)
app.command()(setup)
app.command()(doctor)
app.command()(selftest)
app.command()(bench)
app.add_typer(cluster_app, name="cluster")


def main() -> None:
    """Run the command; errors of ours become one message and an exit code, never a traceback."""
    clean_up_on_signals()
    try:
        app()
    except KubeproofError as error:
        Console(stderr=True).print(f"kubeproof: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(3 if isinstance(error, InfraFault) else 2)
