"""`kubeproof export`: a class's grades in the format of another system."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from graders.cli.screen import Screen
from graders.faults import UsageError
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.model import GradebookModel, GradeState
from graders.gradebook.registry import FORMATS, export, exporter_of, write_export

Load = Callable[[str], GradebookModel]
"""Reads the gradebook that a store holds; raises `UsageError` or `InfraFault` where it cannot."""

_FORMATS = "\n\n".join(f"{name}: {one.about}" for name, one in FORMATS.items())


def export_command(load: Load) -> Callable[..., None]:
    """The subcommand, over stores that `load` reads."""

    def export_grades(
        store: Annotated[str, typer.Argument(help="The store of a batch: a file or a database URL.")],
        name: Annotated[
            str,
            typer.Option("--format", metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}."),
        ],
        lab: Annotated[
            list[str] | None,
            typer.Option("--lab", help="Only this lab (may be repeated). [default: all]", show_default=False),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                help="The file to write; a folder, for formats of one file a submission. "
                "[default: out/gradebook/FORMAT]",
                show_default=False,
            ),
        ] = None,
        worksheet: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="The downloaded worksheet to fill, for moodle-worksheet."),
        ] = None,
        column: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=HEADER",
                help="What a worksheet's column is called where Moodle is not English, as in "
                "'grade=Bewertung' (may be repeated).",
            ),
        ] = None,
    ) -> None:
        """Write the grades of a class for another system.

        Every learner is matched before anything is written: who cannot be is named, all at once. A lab that
        is not graded, excused or missing is never written as a zero.

        Examples:
        kubeproof export class.db --format canvas

        kubeproof export class.db --format moodle-worksheet --lab LAB --worksheet Grades.csv
        """
        exporter = exporter_of(name)
        options = ExportOptions(worksheet, _columns(column or []), at=datetime.now(UTC))
        model = _of_labs(load(store), lab or [])
        exported = export(model, name, options)
        place = out or Path("out") / "gradebook" / _default(name, exported)
        written = write_export(exported, name, place)
        console = Screen(highlight=False)
        told = f"{len(written)} files in {place}" if exporter.many else str(place)
        console.print(Text(f"wrote {told}: {_counts(model)}"))
        for note in exported.notes:
            console.print(Text(f"note: {note}", style="yellow"))

    export_grades.__doc__ = f"{export_grades.__doc__}\n\nFormats:\n\n{_FORMATS}"
    return export_grades


def _columns(given: list[str]) -> dict[str, str]:
    columns = {}
    for one in given:
        name, equals, header = one.partition("=")
        if not equals or not header:
            raise UsageError(
                f"--column {one!r} names no header", fix="write NAME=HEADER, as in 'grade=Bewertung'"
            )
        columns[name.strip()] = header.strip()
    return columns


def _of_labs(model: GradebookModel, labs: list[str]) -> GradebookModel:
    try:
        return model.only(labs) if labs else model
    except KeyError as error:
        there = ", ".join(one.lab for one in model.labs) or "none"
        raise UsageError(
            f"the store has no lab {error.args[0]!r}", fix=f"give --lab and one of: {there}"
        ) from error


def _default(name: str, exported: Exported) -> str:
    if exporter_of(name).many:
        return name
    (only,) = exported.files
    return name + Path(only).suffix


def _counts(model: GradebookModel) -> str:
    found = Counter(one.state for one in model.grades)
    return ", ".join(f"{found[state]} {state.value}" for state in GradeState if found[state]) or "no grades"
