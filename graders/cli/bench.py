"""`kubeproof bench`: how fast and small clusters are, how long a grade takes, what the fault proxy costs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen
from graders.faults import InfraFault

if TYPE_CHECKING:
    from graders.benchmarks.classes import Throughput
    from graders.benchmarks.grades import Grade
    from graders.benchmarks.proxy import ProxyCost
    from graders.benchmarks.secondthoughts import TimedCommand
    from graders.benchmarks.starts import Comparison, Measure


def bench(
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, help="Measured starts of each kind.")] = 5,
    grades: Annotated[
        int, typer.Option(min=0, help="Measured grades of the first lab's reference on each provider.")
    ] = 1,
    class_size: Annotated[
        int, typer.Option(min=0, help="Hand-ins of the class that is graded one by one and side by side.")
    ] = 12,
    stored: Annotated[
        int, typer.Option(min=0, help="Learners of the class that is judged and scored again, and shown.")
    ] = 300,
    kind: Annotated[
        bool, typer.Option(help="Measure kind too, with a Docker engine of our own if none answers.")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every measured value to this file too.")
    ] = None,
) -> None:
    """Measure the start of an embedded cluster beside `kwokctl create cluster` and kind, in one run.

    All are measured in turns on the machine as it is, after a warm-up: seconds from nothing to ready
    (nodes Ready, default ServiceAccount, a pod scheduled) and resident memory of all processes then.
    Then whole grades of the first lab's reference, embedded and on kind. Last the fault proxy: a GET
    of a small object through it and past it, in turns, and its CPU at 50 requests a second beside that of
    a cluster at rest with its recorders. And a class: its hand-ins one by one, then side by side; and
    a large one that is graded already: its records judged again, its points scored again, its site.
    """
    from graders.benchmarks.classes import measure_class  # noqa: PLC0415
    from graders.benchmarks.grades import grades_json, measure_grades  # noqa: PLC0415  (--help is quick)
    from graders.benchmarks.proxy import measure_proxy  # noqa: PLC0415
    from graders.benchmarks.secondthoughts import measure_second_thoughts  # noqa: PLC0415
    from graders.benchmarks.starts import compare  # noqa: PLC0415
    from graders.course import load_course  # noqa: PLC0415
    from graders.ownership import sweep  # noqa: PLC0415

    sweep()
    console = Screen(highlight=False)
    with TerminalProgress(Screen(stderr=True)) as progress, contextlib.ExitStack() as engine:
        more = _kind(progress, engine) if kind else {}
        comparison = compare(runs, progress, more)
        lab = load_course().find_lab("1")
        graded = measure_grades(lab, ["embedded", *more], grades, progress) if grades else {}
        cost = measure_proxy(runs, progress)
        ways = measure_class(lab, class_size, progress) if class_size else ()
        errands = measure_second_thoughts(lab, stored, progress) if stored else ()
    if json_file is not None:
        measured = comparison.as_json() | {"grades": grades_json(graded), "proxy": cost.as_json()}
        measured["class"] = [way.as_json() for way in ways]
        measured["stored"] = [errand.as_json() for errand in errands]
        json_file.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    console.print(_table(comparison))
    for other in comparison.others:
        pairs = ", ".join(f"{ratio:.2f}" for ratio in comparison.ratios(other))
        console.print(f"{other} took this many times as long, turn by turn: {pairs}")
    if graded:
        console.print(_grades_table(graded))
    console.print(_proxy_table(cost))
    if ways:
        console.print(_class_table(ways))
        gain = ways[0].seconds / ways[1].seconds
        console.print(_scale_table(ways[0]))
        console.print(f"side by side is {gain:.2f} times as fast; processors were busy {ways[1].busy:.0%}")
    if errands:
        console.print(_errands_table(errands, stored))


def _kind(progress: TerminalProgress, engine: contextlib.ExitStack) -> dict[str, Callable[[], Measure]]:
    """How to measure kind, where there is an engine or one can be started; it stays until `engine` closes."""
    from graders.benchmarks.real import measure_kind  # noqa: PLC0415
    from graders.clusters.engine.dockerd import running_engine  # noqa: PLC0415

    try:
        host = engine.enter_context(running_engine(progress))
    except InfraFault as error:
        progress.say(f"kind is not measured: {error}")
        return {}
    os.environ["KUBEPROOF_DOCKER_HOST"] = host
    return {"kind": lambda: measure_kind(progress)}


def _table(comparison: Comparison) -> Table:
    runs = len(next(iter(comparison.sides.values())))
    table = Table(title=f"From nothing to ready, Kubernetes {comparison.version}, {runs} runs of each")
    table.add_column("cluster")
    for heading in ("median", "least", "most", "memory", "most memory"):
        table.add_column(heading, justify="right")
    for name, measures in comparison.sides.items():
        table.add_row(name, *_cells(measures))
    return table


def _grades_table(grades: dict[str, tuple[Grade, ...]]) -> Table:
    from graders.benchmarks.starts import spread  # noqa: PLC0415

    table = Table(title="A grade of the first lab's reference, from command to report")
    for heading in ("provider", "median", "least", "most", "of it first cluster", "score"):
        table.add_column(heading, justify="left" if heading == "provider" else "right")
    for name, each in grades.items():
        total = spread([grade.total_s for grade in each])
        start_s = spread([grade.start_s for grade in each])["median"]
        scores = ", ".join(dict.fromkeys(f"{grade.percent} %" for grade in each))
        seconds = [f"{total[which]:.1f} s" for which in ("median", "min", "max")]
        table.add_row(name, *seconds, f"{start_s:.1f} s", scores)
    return table


def _class_table(ways: Sequence[Throughput]) -> Table:
    table = Table(title=f"A class of {len(ways[0].percents)}, the reference each")
    for heading in ("at once", "seconds", "of processors", "busy", "scores"):
        table.add_column(heading, justify="right")
    for way in ways:
        scores = ", ".join(f"{percent} %" for percent in sorted(set(way.percents)))
        table.add_row(str(way.jobs), f"{way.seconds:.0f} s", f"{way.cpu_s:.0f} s", f"{way.busy:.0%}", scores)
    return table


def _errands_table(errands: Sequence[TimedCommand], size: int) -> Table:
    table = Table(title=f"A class of {size} that is graded already")
    for heading in ("what", "seconds", "of processors", "meant"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for each in errands:
        meant = f"< {each.most_s:g} s" if each.most_s else ""
        table.add_row(each.what, f"{each.seconds:.1f} s", f"{each.cpu_s:.1f} s", meant)
    return table


def _scale_table(one_by_one: Throughput) -> Table:
    from graders.benchmarks.scale import scale_of  # noqa: PLC0415
    from graders.slots import MEMORY_MIB  # noqa: PLC0415

    scale = scale_of(one_by_one, MEMORY_MIB * 2**20)
    table = Table(title=f"{scale.size:,} of them, in pods (docs/scale.md)")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("of processors", f"{scale.cpu_hours:.0f} h")
    table.add_row(f"{scale.objects:,} objects, packs", f"{scale.object_bytes / 1e9:.1f} GB")
    table.add_row(f"{scale.rows:,} rows, reports", f"{scale.report_bytes / 1e9:.2f} GB")
    for pods, hours in scale.hours.items():
        table.add_row(f"{pods} pods, {scale.memory_bytes[pods] / 2**30:.0f} GiB", f"{hours:.1f} h")
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
