"""Fingerprints of source text by winnowing over its tokens (Schleimer, Wilkerson and Aiken, SIGMOD 2003).

Comments, layout, names and literals do not count: renaming and reformatting change no fingerprint. Whatever
two texts share of at least `GRAM + WINDOW - 1` tokens is found, and nothing shorter than `GRAM` ever is.
Tokens are Pygments'.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.token import Comment, Name, Number, String, Whitespace, _TokenType
from pygments.util import ClassNotFound

GRAM = 18
WINDOW = 12
LARGEST = 1_000_000
"""Characters of one submission that are looked at."""

SOURCES = frozenset(
    (
        ".py",
        ".go",
        ".rs",
        ".java",
        ".kt",
        ".js",
        ".ts",
        ".sh",
        ".rego",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".cs",
        ".rb",
    )
)
"""Files that are compared: programs. Manifests of one lab are alike by nature."""


@dataclass(frozen=True)
class Gram:
    """A run of `GRAM` tokens by its hash, and the lines it stands on, from 1."""

    hash: int
    path: str
    first: int
    last: int


def fingerprints(files: Mapping[str, str], without: Collection[int] = ()) -> tuple[Gram, ...]:
    """The chosen grams of some files; grams in `without` are never chosen."""
    found: list[Gram] = []
    left = LARGEST
    for path, text in sorted(files.items()):
        if PurePosixPath(path).suffix in SOURCES and left > 0:
            kept = [gram for gram in grams(path, text[:left]) if gram.hash not in without]
            found += _winnowed(kept)
            left -= len(text)
    return tuple(found)


def grams(path: str, text: str) -> Iterator[Gram]:
    """Every gram of a text, in order; none where nothing knows its language."""
    tokens = list(_tokens(path, text[:LARGEST]))
    for i in range(len(tokens) - GRAM + 1):
        run = tokens[i : i + GRAM]
        yield Gram(hash(tuple(kind for kind, _ in run)), path, run[0][1], run[-1][1])


def _winnowed(all_of_them: list[Gram]) -> Iterator[Gram]:
    """The least of each window, the rightmost of equals; each is told once."""
    keys = [(gram.hash, -i) for i, gram in enumerate(all_of_them)]
    last = -1
    for start in range(max(len(keys) - WINDOW + 1, min(len(keys), 1))):
        best = -min(keys[start : start + WINDOW])[1]
        if best != last:
            last = best
            yield all_of_them[best]


def _tokens(path: str, text: str) -> Iterator[tuple[int, int]]:
    """What counts of a text as numbers that are equal where it is, and the lines."""
    try:
        lexer: Lexer = get_lexer_for_filename(path, stripnl=False)
    except ClassNotFound:
        return
    line = 1
    for kind, value in lexer.get_tokens(text):
        if value.strip() and not any(_is(kind, left_out) for left_out in (Comment, Whitespace, String.Doc)):
            yield _number(kind, value), line
        line += value.count("\n")


def _number(kind: _TokenType, value: str) -> int:
    for same in (Name, String, Number):
        if _is(kind, same):
            return zlib.crc32(str(same).encode())
    return zlib.crc32(value.strip().encode())


def _is(kind: _TokenType, sort: _TokenType) -> bool:
    """Whether a kind of token is of a sort: Pygments' kinds are paths, `Name.Function` is of `Name`."""
    return tuple(kind[: len(sort)]) == tuple(sort)
