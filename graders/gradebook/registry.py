"""The gradebook formats there are, and writing their files so that nothing is ever half written.

A new format is one module with a class, named here; the conformance suite then runs on it.
"""

from collections.abc import Mapping
from pathlib import Path

from graders.faults import UsageError, machine_fault
from graders.gradebook.canvas import CanvasGrades
from graders.gradebook.csv_criteria import CsvCriteria
from graders.gradebook.csv_table import CsvGrades
from graders.gradebook.exporter import Exported, ExportOptions, GradeExporter
from graders.gradebook.gradescope import GradescopeResults
from graders.gradebook.junit_class import JUnitGrades
from graders.gradebook.lti import LtiScores
from graders.gradebook.model import GradebookModel
from graders.gradebook.moodle_gradebook import MoodleGradebook
from graders.gradebook.moodle_worksheet import MoodleWorksheet
from graders.gradebook.nbgrader import NbgraderGrades
from graders.gradebook.parquet import ParquetGrades
from graders.gradebook.prairielearn import PrairieLearnResults
from graders.wholefile import NotOurs, write_whole, write_whole_folder

FORMATS: Mapping[str, GradeExporter] = {
    exporter.name: exporter
    for exporter in (
        CsvGrades(),
        CsvCriteria(),
        CanvasGrades(),
        MoodleWorksheet(),
        MoodleGradebook(),
        GradescopeResults(),
        PrairieLearnResults(),
        NbgraderGrades(),
        JUnitGrades(),
        ParquetGrades(),
        LtiScores(),
    )
}
"""Every gradebook format by name."""

_DATABASE = b"SQLite format 3\0"


def exporter_of(name: str) -> GradeExporter:
    """The exporter of a format.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no gradebook format {name!r}", fix=f"choose from {', '.join(FORMATS)}")
    return FORMATS[name]


def export(model: GradebookModel, name: str, options: ExportOptions) -> Exported:
    """Render a gradebook in a format; writes nothing.

    Raises:
        UsageError: an unknown format, several labs where the format holds one, or as `GradeExporter.render`.
    """
    exporter = exporter_of(name)
    if exporter.one_lab and len(model.labs) != 1:
        labs = ", ".join(lab.lab for lab in model.labs)
        raise UsageError(
            f"a file of format {name} holds one lab, and here are {len(model.labs)}",
            fix=f"give --lab and one of: {labs}",
        )
    return exporter.render(model, options)


def write_export(exported: Exported, name: str, out: Path) -> tuple[Path, ...]:
    """Write what was rendered to the file `out`, or into the folder `out` where the format makes many.

    Raises:
        UsageError: `out` cannot be written, is a store, or a folder of anything but an earlier export.
        InfraFault: the disk is full or broken.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if exporter_of(name).many:
            return write_whole_folder(out, exported.files.items())
        (content,) = exported.files.values()
        if out.exists() and not out.is_file() and not out.is_dir():
            out.write_bytes(content)  # A device or a pipe, such as /dev/stdout: it takes it, and stays.
            return (out,)
        _spare_a_store(out)
        write_whole(out, content)
    except NotOurs as error:
        raise UsageError(
            "this is not of an earlier export, and stays",
            file=error.path,
            fix="name another folder with --out",
        ) from error
    except OSError as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        raise UsageError(
            f"the gradebook cannot be written here: {error.strerror}", file=out, fix="name another with --out"
        ) from error
    return (out,)


def _spare_a_store(out: Path) -> None:
    """See that no file is replaced that grades may be in."""
    if not out.is_file():
        return
    with out.open("rb") as file:
        if file.read(len(_DATABASE)) == _DATABASE:
            raise UsageError(
                "this is a store of grades, and stays", file=out, fix="name another file with --out"
            )
