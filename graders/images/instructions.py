"""The instructions of a Dockerfile: continued lines joined as the engine joins them, nothing odd in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.documents.wording import quote
from graders.faults import BadSubmission

NAME = "Dockerfile"

MOST_BYTES = 64 * 1024
MOST_INSTRUCTIONS = 200

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*\S")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})


@dataclass(frozen=True)
class Instruction:
    """One instruction: `name` in capitals, `rest` all that follows it, on one line; `line` is its first."""

    line: int
    name: str
    rest: str


def read_instructions(root: Path) -> Iterator[Instruction]:
    """The instructions of the Dockerfile at `root`, one by one.

    Raises:
        BadSubmission: there is none, or a line is none.
    """
    return _instructions(_text(root))


def _text(root: Path) -> str:
    path = root / NAME
    if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        raise bad("is not there", None, "put a Dockerfile beside submission.yaml; the lab text says how")
    with path.open("rb") as stream:
        raw = stream.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise bad(
            f"is over {MOST_BYTES // 1024} KiB long", None, "copy files in instead of writing them here"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad("is not UTF-8", raw[: error.start].count(b"\n") + 1, "save it as UTF-8") from error


def _instructions(text: str) -> Iterator[Instruction]:
    """Continued lines joined as the engine joins them, comments and empty lines left out."""
    joined, began, directives = "", 0, True
    count = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        _check_characters(line, number)
        stripped = line.strip()
        if stripped.startswith("#"):
            found = _DIRECTIVE.match(stripped)
            if directives and found and found[1].lower() in _DIRECTIVES:
                raise bad(
                    f"{quote(stripped)} asks for another reader of this file", number, "remove that comment"
                )
            continue
        directives = directives and not stripped
        if not stripped:
            continue
        began = began or number
        body = line.rstrip()
        if body.endswith("\\\\"):
            raise bad("a line ends with two backslashes", number, "end it with one, to go on, or with none")
        if body.endswith("\\"):
            joined += body[:-1]
            continue
        yield _instruction((joined + line).strip(), began)
        joined, began, count = "", 0, count + 1
        if count > MOST_INSTRUCTIONS:
            raise bad(f"has over {MOST_INSTRUCTIONS} instructions", number, "put some into one RUN")
    if joined.strip():
        raise bad("ends in the middle of an instruction", began, "remove the last backslash")


def _check_characters(line: str, number: int) -> None:
    strange = next((c for c in line if not c.isprintable() and c not in "\t"), None) or next(
        (c for c in line if c.isspace() and c not in " \t"), None
    )
    if strange is not None:
        raise bad(f"holds the character {ord(strange):#x}", number, "remove it")


def _instruction(text: str, line: int) -> Instruction:
    name, *rest = text.split(None, 1)
    if not rest:
        raise bad(f"{quote(text)} is no complete instruction", line, "write what it is to act on")
    return Instruction(line, name.upper(), rest[0].strip())


def bad(problem: str, line: int | None, fix: str) -> BadSubmission:
    """What is wrong with the Dockerfile, where, and how to mend it."""
    return BadSubmission(problem, file=NAME, line=line, fix=fix)
