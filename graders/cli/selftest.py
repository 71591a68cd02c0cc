"""`kubeproof selftest`: the course tests its own rubric."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graders.cli.progress import TerminalProgress
from graders.course import load_course
from graders.selftest import Row, run_selftest


def selftest(
    lab: Annotated[str, typer.Argument(help="The lab: `lab1`, or just `1`.")],
    focus: Annotated[
        bool, typer.Option(help="Run for each flawed solution only the tracks behind what it must lose.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Gradings side by side. [default: one for each core]")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--solution", help="Only this solution (may be repeated).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the reports. [default: out/selftest-LAB]")
    ] = None,
) -> None:
    """Grade the reference, the starter and every flawed solution, and compare with what each must lose.

    Any surplus or missing loss fails with exit code 1.
    """
    found = load_course().find_lab(lab)
    console = Console()
    with TerminalProgress(Console(stderr=True)) as progress:
        rows = run_selftest(
            found,
            focus=focus,
            jobs=jobs or os.cpu_count() or 1,
            only=tuple(only or ()),
            out=out or Path("out") / f"selftest-{found.id}",
            progress=progress,
        )
    console.print(_table(rows))
    for row in rows:
        if not row.ok:
            console.print(Text(f"{row.name}: {row.problem}", style="red"))
    failed = sum(not row.ok for row in rows)
    console.print(f"{len(rows) - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


def _table(rows: list[Row]) -> Table:
    table = Table(title="Self-test")
    table.add_column("solution", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("lost (of those run)")
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        lost = ", ".join(row.lost) if len(row.lost) <= 3 else f"{len(row.lost)} criteria"
        score = f"{row.percent} %" if row.percent is not None else row.verdict
        table.add_row(row.name, score, lost, f"{row.seconds:.0f}", "ok" if row.ok else "FAILED")
    return table
