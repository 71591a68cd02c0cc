"""Cells of tables that spreadsheets open and other systems read: text that cannot run, points as they are.

A spreadsheet takes a cell that begins with one of `RISKY` for a formula (OWASP, *CSV Injection*). Text of
people gets an apostrophe in front; an id, which must arrive unchanged, is refused instead.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from graders.reports.text import clean, one_line

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell that a spreadsheet would run begins with; the last four are full-width forms of the first."""

CELL = 32_000
"""Characters of one cell; spreadsheets hold 32,767."""


def text_cell(text: str, *, lines: bool = False) -> str:
    """`text` of somebody as a cell: cleaned, on one line unless `lines`, and never a formula."""
    kept = clean(text, CELL) if lines else one_line(text, 500)
    return f"'{kept}" if runs(kept) else kept


def runs(text: str) -> bool:
    """Whether a spreadsheet would take a cell of `text` for a formula; spaces in front hide nothing.

    A sign that stands alone, as in Moodle's `-` for no grade, is none.
    """
    return (text.startswith(RISKY) or text.lstrip().startswith(RISKY)) and len(text.strip()) > 1


def points_cell(points: Decimal | None) -> str:
    """Points with the digits they have, no exponent and no separators; empty where there are none."""
    return "" if points is None else f"{points:f}"


def table(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as CSV (RFC 4180: CRLF, quoted where needed) in UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
