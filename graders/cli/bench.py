"""`kubeproof bench`: how fast and small the embedded cluster is, and what the fault proxy costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from graders.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from graders.benchmarks.proxy import ProxyCost
    from graders.benchmarks.starts import Comparison, Measure


def bench(
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, help="Measured starts of each kind.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every measured value to this file too.")
    ] = None,
) -> None:
    """Measure the start of an embedded cluster beside `kwokctl create cluster` with the same binaries.

    Both are measured in turns on the machine as it is, after a warm-up: seconds from nothing to ready
    (nodes Ready, default ServiceAccount, a pod scheduled) and resident memory of all processes then.
    Then the fault proxy: a GET of a small object through it and past it, in turns, and its CPU at 50
    requests a second beside that of a cluster at rest with its recorders.
    """
    from graders.benchmarks.proxy import measure_proxy  # noqa: PLC0415  (--help should not wait for it)
    from graders.benchmarks.starts import compare  # noqa: PLC0415
    from graders.ownership import sweep  # noqa: PLC0415

    sweep()
    with TerminalProgress(Console(stderr=True)) as progress:
        comparison = compare(runs, progress)
        cost = measure_proxy(runs, progress)
    if json_file is not None:
        measured = comparison.as_json() | {"proxy": cost.as_json()}
        json_file.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    console = Console(highlight=False)
    console.print(_table(comparison))
    pairs = ", ".join(f"{ratio:.2f}" for ratio in comparison.ratios)
    console.print(f"kwokctl took this many times as long, pair by pair: {pairs}")
    console.print(_proxy_table(cost))


def _table(comparison: Comparison) -> Table:
    runs = len(comparison.embedded)
    table = Table(title=f"From nothing to ready, Kubernetes {comparison.version}, {runs} runs of each")
    table.add_column("cluster")
    for heading in ("median", "least", "most", "memory", "most memory"):
        table.add_column(heading, justify="right")
    for name, measures in (("embedded", comparison.embedded), ("kwokctl", comparison.kwokctl)):
        table.add_row(name, *_cells(measures))
    return table


def _cells(measures: tuple[Measure, ...]) -> list[str]:
    from graders.benchmarks.starts import spread  # noqa: PLC0415

    ready = spread([measure.ready_s for measure in measures])
    memory = spread([measure.memory_bytes / 1e6 for measure in measures])
    seconds = [f"{ready[which]:.2f} s" for which in ("median", "min", "max")]
    return [*seconds, *(f"{memory[which]:.0f} MB" for which in ("median", "max"))]


def _proxy_table(cost: ProxyCost) -> Table:
    from graders.benchmarks.proxy import MOST_ADDED_S, MOST_CPU, REQUESTS_PER_S  # noqa: PLC0415

    table = Table(title="The fault proxy")
    table.add_column("cost")
    for heading in ("figure", "ratio", "meant"):
        table.add_column(heading, justify="right")
    table.add_row(
        "added to the median GET",
        f"{cost.added_s * 1000:.2f} ms",
        f"{cost.slower:.2f} × direct",
        f"< {MOST_ADDED_S * 1000:g} ms",
    )
    table.add_row(
        f"CPU at {REQUESTS_PER_S} requests/s",
        f"{cost.proxy_cpu:.1%} of a core",
        f"{cost.cpu_ratio:.2f} × an idle cluster's {cost.idle_cpu:.1%}",
        f"< {MOST_CPU:.0%} of a core",
    )
    return table
