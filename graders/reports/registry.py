"""The exporters there are, and writing their files so that no reader ever sees half of one.

A new exporter is one module with a class, named here; the conformance suite then runs on it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, UsageError
from graders.model import GradeReport
from graders.reports.annotations import AnnotationsExporter
from graders.reports.autograding import AutogradingExporter
from graders.reports.exporter import Exporter
from graders.reports.html import HtmlExporter
from graders.reports.junit import JUnitExporter
from graders.reports.report_json import JsonExporter
from graders.reports.staff import StaffLog
from graders.reports.summary import SummaryExporter
from graders.wholefile import write_whole

EXPORTERS: Mapping[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        JsonExporter(),
        HtmlExporter(),
        JUnitExporter(),
        SummaryExporter(),
        AnnotationsExporter(),
        AutogradingExporter(),
        StaffLog(),
    )
}
"""Every exporter by name, in the order in which files are written."""

SIGNATURE = "report.dsse.json"
"""What vouches for a report.json, where somebody signed it; it goes when the report is written anew."""

REPORTS = (*(exporter.file_name for exporter in EXPORTERS.values()), SIGNATURE)
"""The names of all files that a report may become."""


def write_reports(
    report: GradeReport, bundle: Bundle | None, out: Path, names: Iterable[str] = tuple(EXPORTERS)
) -> dict[str, Path]:
    """Write the files of the exporters `names` into the folder `out`; returns exporter name to file.

    A file that this report does not need is left out, and an older one of its name is removed.

    Raises:
        UsageError: an unknown name, or `out` is not a folder that can be written.
        InfraFault: the file system failed, for instance because it is full.
    """
    chosen = [_exporter(name) for name in names]
    written = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / SIGNATURE).unlink(missing_ok=True)
        for exporter in chosen:
            path = out / exporter.file_name
            text = exporter.render(report, bundle)
            if text:
                write_whole(path, text, mode=0o600 if path.suffix == ".log" else 0o644)
                written[exporter.name] = path
            else:
                path.unlink(missing_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError(
            f"the reports cannot be written here: {error.strerror}",
            file=out,
            fix="name a folder of your own with --out",
        ) from error
    except OSError as error:
        raise InfraFault(f"the reports cannot be written to {out}: {error}", fix="free some space") from error
    return written


def _exporter(name: str) -> Exporter:
    if name not in EXPORTERS:
        raise UsageError(f"there is no report format {name!r}", fix=f"choose from {', '.join(EXPORTERS)}")
    return EXPORTERS[name]
