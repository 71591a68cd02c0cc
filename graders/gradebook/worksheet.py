"""A worksheet that Moodle's assignment gave for grading offline: read strictly, columns by their headers.

Moodle writes headers in the language of whoever downloads; ours are English, and a caller names others.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.faults import UsageError
from graders.reports.text import one_line

HEADERS: Mapping[str, str] = {
    "identifier": "Identifier",
    "email": "Email address",
    "idnumber": "ID number",
    "grade": "Grade",
    "maximum": "Maximum grade",
    "changeable": "Grade can be changed",
    "modified": "Last modified (grade)",
    "feedback": "Feedback comments",
}
"""The columns we know, by the names that `--column` takes, and their English headers."""

_NEEDED = ("identifier", "grade", "modified")
_LARGEST_BYTES = 32 * 1024 * 1024
_FIX = "download it anew: Assignment > Submissions > Actions > Download grading worksheet"


@dataclass(frozen=True)
class Worksheet:
    """Rows as downloaded; `columns` says where each known column is, `lines` where each row begins."""

    file: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: Mapping[str, int]
    lines: tuple[int, ...]
    marked: bool
    """Whether it began with a byte order mark."""

    def value(self, row: tuple[str, ...], column: str) -> str:
        """What a row has in a column; empty where the worksheet has no such column."""
        return row[self.columns[column]].strip() if column in self.columns else ""


def read_worksheet(file: Path | None, named: Mapping[str, str]) -> Worksheet:
    """Read a worksheet; `named` are headers that are not the English ones, by the names of `HEADERS`.

    Raises:
        UsageError: no file is given, or it is no worksheet; says file and line.
    """
    if file is None:
        raise UsageError(
            "Moodle's worksheet has to be filled, not made: its headers depend on the language",
            fix="download one from the assignment and name it with --worksheet FILE",
        )
    if unknown := sorted(set(named) - set(HEADERS)):
        raise UsageError(
            f"there is no worksheet column {unknown[0]!r}", fix=f"choose from {', '.join(HEADERS)}"
        )
    text = _text(file)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    table: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        begins = 1
        for cells in reader:
            if cells:
                table.append(tuple(cells))
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"this is no CSV: {error}", file=file, line=reader.line_num, fix=_FIX) from error
    if len(table) < 2:
        raise UsageError("the worksheet has no learner in it", file=file, line=1, fix=_FIX)
    header, *rows = table
    for row, line in zip(rows, lines[1:], strict=True):
        if len(row) != len(header):
            problem = f"this row has {len(row)} cells, and the header has {len(header)}"
            raise UsageError(problem, file=file, line=line, fix=_FIX)
    columns = _columns(file, header, {**HEADERS, **named}, set(named))
    return Worksheet(file, header, tuple(rows), columns, tuple(lines[1:]), text.startswith("\ufeff"))


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise UsageError("this is larger than any worksheet", file=file, fix=_FIX)
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError("this is not UTF-8: a spreadsheet has saved it anew", file=file, fix=_FIX) from error
    except OSError as error:
        raise UsageError(f"the worksheet cannot be read: {error.strerror}", file=file, fix=_FIX) from error


def _columns(
    file: Path, header: tuple[str, ...], headers: Mapping[str, str], named: set[str]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, title in headers.items():
        # The case of some headers has changed between versions of Moodle.
        places = [i for i, cell in enumerate(header) if cell.strip().casefold() == title.casefold()]
        if len(places) > 1:
            raise UsageError(f"column {title!r} is there {len(places)} times", file=file, line=1, fix=_FIX)
        if places:
            found[name] = places[0]
        elif name in _NEEDED or name in named:
            there = ", ".join(one_line(cell, 60) for cell in header)
            raise UsageError(
                f"there is no column {title!r}; there are: {there}",
                file=file,
                line=1,
                fix=f"say which it is, as in --column '{name}={one_line(header[0], 60)}', or {_FIX}",
            )
    return found
