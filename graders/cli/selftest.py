"""`kubeproof selftest`: the course tests its own rubric."""

import math
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen
from graders.course import load_course
from graders.faults import UsageError
from graders.parity import compare
from graders.selftest import SelfTest, SolutionRow, Trust, at_once, run_selftest
from graders.selftest.ledger import PROVIDER


def selftest(  # noqa: PLR0913, PLR0917  (a command line has as many options as it has)
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    focus: Annotated[
        bool,
        typer.Option(
            help="Grade a flawed solution for what it must lose alone, unless it is known from a whole "
            "grading or marked `whole`."
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Gradings side by side. [default: one for two cores, one for each core of flaws alone]",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--solution", help="Only this solution (may be repeated).")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the clusters come from. Given twice, every check must end the same on both. "
            "[default: embedded]",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Write the comparison of several providers to this file, as Markdown."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Record anew. Else a solution is judged from its kept record, if nothing that a record "
            "depends on has changed since.",
        ),
    ] = False,
    trust: Annotated[
        str,
        typer.Option(
            "--trust-ledger",
            metavar="COMMIT",
            help="Grade only what neither a kept record nor the lab's ledger shows, the references, the "
            "starter and a tenth of the rest, drawn by this text.",
        ),
    ] = "",
    stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help="Grade only what neither a kept record nor the lab's ledger shows, what was proven longest "
            "ago first, and note it in the ledger, one by one: it may be stopped, and goes on the next time.",
        ),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="MINUTES",
            help="With --stale or --trust-ledger: begin no grading that would end later. What stays unproven "
            "is told, and fails nothing.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the reports: a new one, or one that holds nothing but earlier results. "
            "[default: out/selftest-LAB]"
        ),
    ] = None,
) -> None:
    """Grade the references, the starter and every other solution, and compare with what each must lose.

    Any surplus or missing loss fails with exit code 1. Without --trust-ledger and --focus, what was proven
    on the embedded provider is written to solutions/LAB/ledger.json.

    Example: kubeproof selftest 1 --solution reference --again

    As much as can be proven in twenty minutes: kubeproof selftest 1 --stale --budget 20

    Every check must end the same on both: kubeproof selftest 1 --focus --provider embedded --provider kind
    """
    providers = list(dict.fromkeys(provider or ["embedded"]))
    if table is not None and len(providers) < 2:
        raise UsageError("--table compares providers, and there is one", fix="give --provider twice")
    if "existing" in providers:
        raise UsageError(
            "a self-test grades side by side, and an existing cluster takes one grading at a time",
            fix="give --provider embedded or kind, or grade one solution there: `kubeproof grade --help`",
        )
    if budget is not None and not trust and not stale:
        raise UsageError(
            "--budget leaves solutions ungraded", fix="give --stale or --trust-ledger COMMIT with it"
        )
    if stale and (trust or again):
        other = "--trust-ledger" if trust else "--again"
        raise UsageError(f"--stale grades nothing that is known, and {other} does", fix="give one of them")
    until = time.monotonic() + budget * 60 if budget is not None else math.inf
    found = load_course().find_lab(lab)
    folder = out or Path("out") / f"selftest-{found.id}"
    console = Screen()
    rows: dict[str, list[SolutionRow]] = {}
    with TerminalProgress(Screen(stderr=True)) as progress:
        for name in providers:
            test = SelfTest(
                found,
                out=folder / name if len(providers) > 1 else folder,
                provider=name,
                only=tuple(only or ()),
                focus=focus,
                again=again,
                jobs=jobs or at_once(),
                flaw_jobs=jobs or at_once(focus=True),
                trust=Trust(trust, until) if trust or stale else None,
                writes_ledger=name == PROVIDER and not trust and not focus,
            )
            rows[name] = run_selftest(test, progress)
    for name in providers:
        console.print(_table(rows[name], name))
        for row in rows[name]:
            if row.problem:
                console.print(Text(f"{row.name}: {row.problem}", style="red"))
    alone = [row.name for each in rows.values() for row in each if row.flaw_alone]
    if alone:
        console.print(
            f"{len(alone)} were graded for their flaw alone: that they lose nothing else is unproven"
        )
    unlike = compare(rows)
    if table is not None:
        table.write_text(unlike.page(found.id, focus=focus), encoding="utf-8")
    for difference in unlike.differences:
        console.print(Text(str(difference), style="red"))
    everything = [row for each in rows.values() for row in each]
    unproven = [row.name for row in everything if row.unproven]
    if unproven:
        console.print(
            f"{len(unproven)} of {len(everything)} solutions of {found.id} stay unproven: there was no time "
            f"to grade them, and the ledger does not vouch for them: {', '.join(unproven)}\n"
            f"  fix: run `kubeproof selftest {found.id} --stale`, and commit the ledger"
        )
    failed = sum(bool(row.problem) for row in everything) + len(unlike.differences)
    passed = sum(row.ok for row in everything)
    console.print(f"{passed} passed, {failed} failed" + f", {len(unproven)} skipped" * bool(unproven))
    raise typer.Exit(1 if failed else 0)


def _table(rows: list[SolutionRow], provider: str) -> Table:
    table = Table(title=f"Self-test on {provider}")
    table.add_column("solution", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("lost (of those run)")
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        lost = ", ".join(row.lost) if len(row.lost) <= 3 else f"{len(row.lost)} criteria"
        score = f"{row.percent} %" if row.percent is not None else row.verdict
        table.add_row(
            row.name,
            score,
            lost,
            f"{row.seconds:.0f}" if row.seconds else "",
            row.source,
            "ok" if row.ok else "UNPROVEN" if row.unproven else "FAILED",
        )
    return table
