"""`kubeproof doctor`: what this machine can do, and how to fix what it cannot."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from graders.cli.progress import printable
from graders.cli.screen import Screen
from graders.course import load_course
from graders.doctor import Diagnosis, State, can_grade, examine
from graders.labneeds import needs_of

SCHEMA = "kubeproof/doctor/v1"
_STYLE = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def doctor(
    lab: Annotated[
        str | None, typer.Argument(help="A lab whose own needs are looked at as well, by slug or number.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine can do, and how to fix what it cannot.

    Exits with 0 if a submission can be graded on an embedded cluster here, else with 2.

    Example: kubeproof doctor 2
    """
    slug = load_course().find_lab(lab).id if lab else ""
    findings = examine(slug, needs_of(slug) if slug else None)
    ready = can_grade(findings)
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        typer.echo(json.dumps({"schema": SCHEMA, "ready": ready, "findings": rows}, indent=2))
    else:
        _show(findings, ready)
    raise typer.Exit(0 if ready else 2)


def _show(findings: list[Diagnosis], ready: bool) -> None:
    console = Screen(highlight=False)
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        style = _STYLE[finding.state]
        table.add_row(f"[{style}]{finding.state}[/]", finding.name, escape(printable(finding.detail)))
        if finding.fix:
            table.add_row("", "", f"fix: {escape(printable(finding.fix))}")
    console.print(table)
    console.print(
        "Submissions can be graded here on an embedded cluster."
        if ready
        else "Submissions cannot be graded here on an embedded cluster until what failed is fixed."
    )
