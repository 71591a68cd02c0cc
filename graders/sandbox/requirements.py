"""Reads what packages a Python submission asks for: names and versions, and nothing else pip could do."""

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from graders.documents.wording import quote
from graders.faults import BadSubmission

RUNNING, TESTING = "requirements.txt", "requirements-dev.txt"

MOST_BYTES = 64 * 1024
MOST_REQUIREMENTS = 200
MOST_NESTED = 5
MOST_FILES = 50
_MOST_CHARACTERS, _MOST_PARENTHESES = 2000, 20
"""Of one requirement, beside its hashes: more is nobody's, and makes parsers fail in ways of their own."""

_HASH = re.compile(r"(?:^|\s)--hash[=\s]+(\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s+|\s*=\s*|(?<=-[rc]))(\S.*)$")
_ADDRESS = re.compile(r"^\w[\w+.-]*://|^[./~\\]|\.(whl|zip|tar\.\w+|tgz)$", re.IGNORECASE)
_EDITABLE = re.compile(r"(-e|--editable)[\s=]+\.(\[|/?\s*$)")
_NAMES_ONLY = "name packages and their versions, as in `kopf>=1.45,<1.46`"
_PUBLISHED = (
    "name a published package and its version, or put its source into the submission and, in "
    "submission.yaml, its folder into PYTHONPATH of operator.environment"
)
_YOURSELF = (
    "remove the line: nothing is installed of the submission itself; if its code is in src/, write "
    "`environment: {PYTHONPATH: src}` under operator in submission.yaml"
)
_NO_OPTION = "remove it: packages are fetched as wheels, from the index that the course names"


@dataclass(frozen=True)
class RequiredPackages:
    """One requirement, with the file and line (from 1) that it stands at; `hashes` are `sha256:...`."""

    requirement: Requirement
    file: str
    line: int
    hashes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The package's name, as an index spells it."""
        return canonicalize_name(self.requirement.name)

    @property
    def applies(self) -> bool:
        """Whether its marker, if it has one, is true of this Python on this machine."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate({"extra": ""})

    def __str__(self) -> str:
        return " ".join([str(self.requirement), *(f"--hash={each}" for each in sorted(self.hashes))])


@dataclass(frozen=True)
class Requirements:
    """What a file and those it includes ask for, and within which bounds."""

    wanted: tuple[RequiredPackages, ...] = ()
    constraints: tuple[RequiredPackages, ...] = ()


def read_requirements(root: Path, name: str, *, most_bytes: int = MOST_BYTES) -> Requirements:
    """Read the file `name` of the submission at `root`; nothing is asked for where there is none.

    Raises:
        BadSubmission: names file and line of what is no requirement by name, or of too much.
    """
    if not os.path.lexists(root / name):
        return Requirements()
    reader = _Reader(root.resolve(), most_bytes)
    reader.read(PurePosixPath(name), is_constraint=False, above=())
    return Requirements(tuple(reader.wanted), tuple(reader.constraints))


class _Reader:
    def __init__(self, root: Path, most_bytes: int) -> None:
        self._root = root
        self._most_bytes = most_bytes
        self._files = 0
        self.wanted: list[RequiredPackages] = []
        self.constraints: list[RequiredPackages] = []

    def read(self, name: PurePosixPath, *, is_constraint: bool, above: tuple[PurePosixPath, ...]) -> None:
        for number, line in _lines(self._text(name), str(name)):
            if include := _INCLUDE.fullmatch(line):
                target = self._included(name, include[2].strip(), number)
                if target in (*above, name):
                    raise _bad(f"{target} includes itself", name, number, "remove one of the includes")
                if len(above) >= MOST_NESTED:
                    raise _bad("includes are nested too deeply", name, number, f"nest at most {MOST_NESTED}")
                self._files += 1
                if self._files > MOST_FILES:
                    raise _bad(f"over {MOST_FILES} includes", name, number, "put them into fewer files")
                constrains = is_constraint or include[1] in ("-c", "--constraint")
                self.read(target, is_constraint=constrains, above=(*above, name))
                continue
            found = read_requirement(line, str(name), number)
            (self.constraints if is_constraint else self.wanted).append(found)
            if len(self.wanted) + len(self.constraints) > MOST_REQUIREMENTS:
                raise _bad(f"over {MOST_REQUIREMENTS} requirements", name, number, "require what you use")

    def _included(self, name: PurePosixPath, written: str, number: int) -> PurePosixPath:
        target = PurePosixPath(written.strip("\"'"))
        path = _inside(self._root, name.parent / target)
        if "://" in written or target.is_absolute() or path is None:
            problem = f"includes {quote(written)}, which is no file of the submission"
            raise _bad(problem, name, number, "put that file into the submission")
        if not path.is_file():
            problem = f"includes {quote(written)}, which is not there"
            raise _bad(problem, name, number, "hand it in, or remove the line")
        return PurePosixPath(path.relative_to(self._root))

    def _text(self, name: PurePosixPath) -> str:
        return read_text(self._root, str(name), self._most_bytes)


def read_text(root: Path, name: str, most_bytes: int) -> str:
    """The text of the file `name` of the submission at `root`, which has no links any more.

    Raises:
        BadSubmission: it is no file inside, too long, or no text.
    """
    path = _inside(root, PurePosixPath(name))
    if path is None or not path.is_file():
        raise _bad("is no file of the submission", name, None, "make it a plain file")
    with path.open("rb") as stream:
        raw = stream.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise _bad(f"is over {most_bytes // 1024} KiB long", name, None, "require what you use")
    # What `pip freeze > requirements.txt` makes in a PowerShell.
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _bad("is not UTF-8", name, line, "save it as UTF-8") from error


def _inside(root: Path, name: PurePosixPath) -> Path | None:
    """Where `name` leads, if that is inside the submission and something can be there."""
    try:
        path = (root / name).resolve()
        path.is_file()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a circle of links
        return None
    return path if path.is_relative_to(root) else None


def _lines(text: str, file: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first: continued ones joined, comments left out."""
    joined, began = "", 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r")
        if odd := _acting(line):
            raise _bad(f"holds the character {ord(odd):#x}", file, number, "remove it")
        began = began or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1] + " "
            continue
        whole, first = _COMMENT.sub("", joined + line).strip(), began
        joined, began = "", 0
        if whole:
            yield first, whole
    if joined.strip():
        yield began, joined.strip()


def _acting(text: str) -> str:
    return next((c for c in text if not c.isprintable() and c != "\t"), "")


def read_requirement(line: str, file: str, number: int) -> RequiredPackages:
    """One requirement that stands at line `number` of `file`.

    Raises:
        BadSubmission: it is anything else.
    """
    if odd := _acting(line):
        raise _bad(f"holds the character {ord(odd):#x}", file, number, "remove it")
    if "$" in line:
        raise _bad(f"{quote(line)}: variables are not filled in", file, number, _NAMES_ONLY)
    hashes = frozenset(match[1] for match in _HASH.finditer(line))
    if wrong := next((each for each in sorted(hashes) if not _SHA256.fullmatch(each)), None):
        raise _bad(f"{quote(wrong)} is no SHA-256 hash", file, number, "write `--hash=sha256:` and 64 digits")
    text = _HASH.sub("", line).strip()
    if text.startswith("-"):
        fix = _YOURSELF if _EDITABLE.match(text) else _NO_OPTION
        raise _bad(f"{quote(text)}: options of pip are not taken", file, number, fix)
    if _ADDRESS.search(text.split(";", maxsplit=1)[0].strip()):
        fix = _YOURSELF if re.fullmatch(r"\.(\[.*\])?/?", text) else _PUBLISHED
        raise _bad(f"{quote(text)} is an address or a path", file, number, fix)
    try:
        too_much = len(text) > _MOST_CHARACTERS or text.count("(") > _MOST_PARENTHESES
        requirement = Requirement("" if too_much else text)
    except InvalidRequirement as error:
        raise _bad(f"{quote(text)} is no requirement", file, number, _NAMES_ONLY) from error
    if requirement.url is not None:
        raise _bad(f"{quote(text)} names an address", file, number, _PUBLISHED)
    found = RequiredPackages(requirement, file, number, hashes)
    try:
        _ = found.applies
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        problem = f"{quote(text)}: its condition compares what cannot be compared"
        raise _bad(problem, file, number, _NAMES_ONLY) from error
    return found


def _bad(problem: str, file: object, line: int | None, fix: str) -> BadSubmission:
    return BadSubmission(problem, file=str(file), line=line, fix=fix)


def satisfied(
    wanted: Iterable[RequiredPackages],
    constraints: Iterable[RequiredPackages],
    pins: Iterable[RequiredPackages],
) -> list[RequiredPackages]:
    """Those of `wanted` that `pins` (each `name==version`) fulfil; none where a pin breaks a constraint."""
    there = {pin.name: pin for pin in pins if pin.applies}

    def fulfilled(each: RequiredPackages) -> bool:
        return not each.applies or (each.name in there and _fulfils(there[each.name], each))

    if any(bound.name in there and not fulfilled(bound) for bound in constraints):
        return []
    return [each for each in wanted if fulfilled(each)]


def _fulfils(pin: RequiredPackages, wanted: RequiredPackages) -> bool:
    (exactly,) = pin.requirement.specifier
    return (
        not wanted.requirement.extras
        and wanted.requirement.specifier.contains(exactly.version, prereleases=True)
        and (not wanted.hashes or bool(wanted.hashes & pin.hashes))
    )
