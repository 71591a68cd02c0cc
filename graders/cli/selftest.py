"""`kubeproof selftest`: the course tests its own rubric."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

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
    failed = sum(not row.ok for row in rows)
    console.print(f"{len(rows) - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


def _table(rows: list[Row]) -> Table:
    table = Table("solution", "score", "must lose", "lost", "seconds", "", title="Self-test")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.percent} %" if row.percent is not None else row.verdict,
            ", ".join(row.expected) or row.rule,
            ", ".join(row.lost) if len(row.lost) <= 6 else f"{len(row.lost)} criteria",
            f"{row.seconds:.0f}",
            "ok" if row.ok else f"FAILED: {row.problem}",
            style=None if row.ok else "red",
        )
    return table
