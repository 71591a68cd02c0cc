"""Finds the learner's files and lines that a text names, such as `main.py:12:5: unused import`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_SUFFIXES = "py|pyi|go|mod|sum|yaml|yml|toml|json|cfg|ini|txt|md|sh|sql|ipynb|html|lock"
_PLACE = re.compile(
    rf"(?<![\w/.:-])(?P<path>(?:\./)?(?:[\w.+-]+/)*(?:[\w.+-]+\.(?:{_SUFFIXES})|Dockerfile|Containerfile|Makefile))"
    r":(?P<line>[1-9]\d{0,6})\b(?::(?P<column>[1-9]\d{0,4})\b)?"
)


_READ = 8_000


@dataclass(frozen=True)
class CodePlace:
    """A line of a file, by its path inside the submission; `said` is what the text says of it."""

    path: str
    line: int
    said: str


def places_in(text: str) -> Iterator[CodePlace]:
    """Every place that the first 8,000 characters of `text` name, each once; none leads out of its folder."""
    text = text[:_READ]
    seen: set[tuple[str, int]] = set()
    found = list(_PLACE.finditer(text))
    for at, match in enumerate(found):
        path = PurePosixPath(match["path"])
        place = (str(path), int(match["line"]))
        if ".." in path.parts or place in seen:
            continue
        seen.add(place)
        end = found[at + 1].start() if at + 1 < len(found) else len(text)
        yield CodePlace(*place, _above(text, match.start()) or text[match.end() : end].strip(" \n\t:/;"))


def _above(text: str, at: int) -> str:
    """The line above a place that stands behind an arrow, as ruff has it; empty where there is no arrow."""
    before, _, line = text[:at].rpartition("\n")
    return before.rpartition("\n")[2].strip() if line.strip() == "-->" else ""
