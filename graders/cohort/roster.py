"""`roster.csv`: who takes the course, under which names other systems know them, and what was granted whom.

================  ================================================================================
column            holds
================  ================================================================================
learner_id        what submissions are called by; must be there
name, email       as they are shown and matched
section           a group of the class
late_days         how many late days this learner has, in place of the course's bank
excused           labs that the learner need not do, separated by spaces
extension:<lab>   more time: a due date, or `+3d`
id:<system>       the learner's id in another system, such as `id:canvas`
================  ================================================================================
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graders.cohort.instants import EXTENSION_FIX, Extension, extension
from graders.documents.wording import printable, quote
from graders.faults import UsageError

_SIZE_LIMIT = 8 * 1024 * 1024
_PLAIN = ("learner_id", "name", "email", "section", "late_days", "excused")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_SLUG = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_PREFIXED = re.compile(r"(extension|id):([A-Za-z][A-Za-z0-9_-]{0,49})")


@dataclass(frozen=True)
class Learner:
    """One person of the course; texts are as somebody typed them, and no system's to run."""

    learner_id: str
    name: str = ""
    email: str = ""
    section: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    """By the name of another system."""
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    """By lab."""
    late_days: int | None = None
    """None: as many as the course's bank says."""
    excused: frozenset[str] = frozenset()
    """Labs."""


@dataclass(frozen=True)
class Roster:
    """The learners of a course, in the order of their file."""

    learners: tuple[Learner, ...]

    @classmethod
    def of_ids(cls, ids: Iterable[str]) -> Roster:
        """A roster of whoever handed something in, where nobody wrote one."""
        return cls(tuple(Learner(each) for each in dict.fromkeys(ids)))

    def find(self, learner_id: str) -> Learner | None:
        """The learner of that id, in upper or lower case; None where there is none."""
        return next((one for one in self.learners if one.learner_id.lower() == learner_id.lower()), None)


@dataclass(frozen=True)
class _Row:
    file: str
    line: int
    cells: Mapping[str, str]

    def refusal(self, problem: str, fix: str) -> UsageError:
        return UsageError(problem, file=self.file, line=self.line, fix=fix)


def load_roster(path: Path, *, labs: Collection[str] = ()) -> Roster:
    """Read a roster, its columns separated by commas, semicolons or tabs; it names no lab but of `labs`.

    Raises:
        UsageError: it is no such file; says which line, and what to write there.
    """
    shown = str(path)
    text = _decoded(_read(path), shown)
    learners: list[Learner] = []
    seen: dict[tuple[str, str], int] = {}
    for row in _rows(text, shown):
        _expect_labs(row, labs)
        learner = _learner(row)
        _not_twice(learner, row, seen)
        learners.append(learner)
    if not learners:
        raise UsageError("the roster names nobody", file=shown, line=2, fix="write one line for each learner")
    return Roster(tuple(learners))


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UsageError("there is no such roster", file=path, fix="name a file: --roster roster.csv")
        with path.open("rb") as file:
            raw = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"the roster cannot be read: {error.strerror}", file=path, fix="make it readable"
        ) from error
    if len(raw) > _SIZE_LIMIT:
        raise UsageError("the roster is larger than 8 MiB", file=path, fix="leave the learners of one course")
    return raw


def _decoded(raw: bytes, shown: str) -> str:
    save = "save it as CSV UTF-8"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError("the roster is UTF-16", file=shown, line=1, fix=save)
    if raw.startswith(b"PK"):
        raise UsageError("the roster is a workbook, or another archive", file=shown, line=1, fix=save)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError("the roster is not UTF-8", file=shown, line=line, fix=save) from error
    for number, each in enumerate(text.splitlines(), 1):
        if bad := next((c for c in each if not c.isprintable() and c not in "\t\u00a0\u3000"), ""):
            raise UsageError(
                f"the roster holds the character U+{ord(bad):04X}, which nobody can see",
                file=shown,
                line=number,
                fix="remove it",
            )
    return text


def _rows(text: str, shown: str) -> Iterator[_Row]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            # A name that somebody broke into lines is one line all the same.
            stripped = [" ".join(cell.split()) for cell in cells]
            if not any(stripped):
                continue
            if not header:
                header = _header(stripped, shown, line)
                continue
            if len(cells) != len(header):
                raise UsageError(
                    f"this line has {len(cells)} cells, where the header has {len(header)}",
                    file=shown,
                    line=line,
                    fix=f'put quotes around a cell that holds "{separator}", and leave no cell out',
                )
            yield _Row(shown, line, dict(zip(header, stripped, strict=True)))
    except csv.Error as error:
        raise UsageError(
            f"this is no CSV: {error}", file=shown, line=before + 1, fix="close every quote that is opened"
        ) from error
    if not header:
        raise UsageError(
            "the roster is empty", file=shown, line=1, fix="begin with a header: learner_id,name"
        )


def _header(cells: list[str], shown: str, line: int) -> list[str]:
    def refusal(problem: str, fix: str) -> UsageError:
        return UsageError(problem, file=shown, line=line, fix=fix)

    known = f"there are {', '.join(_PLAIN)}, extension:LAB and id:SYSTEM"
    for place, cell in enumerate(cells):
        if not cell:
            raise refusal(f"column {place + 1} has no name", f"name it, or remove it; {known}")
        if cell in cells[:place]:
            raise refusal(f"the column {quote(cell)} is there twice", "remove one of them")
        if cell in _PLAIN or _PREFIXED.fullmatch(cell):
            continue
        close = difflib.get_close_matches(cell.lower().replace(" ", "_"), _PLAIN, n=1)
        meant = f"did you mean {quote(close[0])}? " if close else ""
        raise refusal(f"there is no column {quote(cell)}", f"{meant}{known}")
    if "learner_id" not in cells:
        raise refusal('the column "learner_id" is missing', "add it: what submissions are called by")
    return cells


def _expect_labs(row: _Row, labs: Collection[str]) -> None:
    """See that nothing is granted for a lab that there is not: nobody would ever see it."""
    granted = [name.partition(":")[2] for name in row.cells if name.startswith("extension:")]
    for lab in (*granted, *_excused(row)):
        if labs and lab not in labs:
            raise row.refusal(f"there is no lab {quote(lab)}", f"there are: {', '.join(sorted(labs))}")


def _excused(row: _Row) -> list[str]:
    return sorted(set(row.cells.get("excused", "").replace(";", " ").replace(",", " ").split()))


def _learner(row: _Row) -> Learner:
    cells = row.cells
    learner_id = cells["learner_id"]
    if not _ID.fullmatch(learner_id):
        problem = f"{quote(learner_id)} is no learner_id" if learner_id else "the learner_id is empty"
        raise row.refusal(problem, "write 1 to 100 letters, digits and . _ - @ +, a letter or digit first")
    email = cells.get("email", "")
    if email and (email.count("@") != 1 or " " in email or email.startswith("@") or email.endswith("@")):
        raise row.refusal(f"{quote(email)} is no e-mail address", "write one, or leave the cell empty")
    excused = _excused(row)
    for lab in excused:
        if not _SLUG.fullmatch(lab):
            raise row.refusal(f"{quote(lab)} is no lab", "write labs by their slug, as in labs/")
    prefixed = [(found, value) for name, value in cells.items() if (found := _PREFIXED.fullmatch(name))]
    return Learner(
        learner_id=learner_id,
        name=cells.get("name", ""),
        email=email,
        section=cells.get("section", ""),
        ids={found[2]: value for found, value in prefixed if found[1] == "id" and value},
        extensions={
            found[2]: _extension(row, found[0], value)
            for found, value in prefixed
            if found[1] == "extension" and value
        },
        late_days=_late_days(row, cells.get("late_days", "")),
        excused=frozenset(excused),
    )


def _extension(row: _Row, column: str, value: str) -> Extension:
    try:
        return extension(value)
    except ValueError as error:
        raise row.refusal(f"{column}: {quote(value)} {error}", EXTENSION_FIX) from error


def _late_days(row: _Row, value: str) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 3):
        raise row.refusal(f"late_days is {quote(value)}", "write a whole number, or leave the cell empty")
    return int(value)


def _not_twice(learner: Learner, row: _Row, seen: dict[tuple[str, str], int]) -> None:
    """See that nobody can be taken for somebody else, in whatever case a system writes names."""
    names = {"learner_id": learner.learner_id, "email": learner.email}
    names.update({f"id:{system}": value for system, value in learner.ids.items()})
    for column, value in names.items():
        if not value:
            continue
        key = (column, value.lower())
        if key in seen:
            raise row.refusal(
                f"{column} {quote(printable(value))} is in line {seen[key]} already",
                "remove one of the two lines, or correct it",
            )
        seen[key] = row.line
