"""Fingerprints of source text by winnowing over its tokens (Schleimer, Wilkerson and Aiken, SIGMOD 2003).

Comments, layout, names and literals do not count: renaming and reformatting change no fingerprint. Whatever
two texts share of at least `GRAM + WINDOW - 1` tokens is found, and nothing shorter than `GRAM` ever is.
Tokens are Pygments'.
"""

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import PurePosixPath

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.token import Comment, Name, Number, String, Whitespace, _TokenType
from pygments.util import ClassNotFound

GRAM = 18
WINDOW = 12
_ITSELF = 1
LARGEST = 1_000_000
"""Characters of one submission that are looked at."""

_HASH_COMMENTS = (".py", ".sh", ".rego")
LONGEST = 1_000
"""Characters of one line; longer ones are no person's."""

KEPT = 16_000
"""Characters of the longest file whose tokens are kept for the next submission that has the same."""

SOURCES = frozenset((".py", ".go", ".rs", ".js", ".ts", ".sh", ".rego"))
"""Files that are compared: programs, in languages whose lexers keep to a time that grows with the text.

Manifests of one lab are alike by nature.
"""


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
            tokens = _tokens(path, text[:left])
            hashes = _hashes(tokens)
            kept = [i for i, value in enumerate(hashes) if value not in without]
            chosen = (kept[i] for i in _winnowed([hashes[i] for i in kept]))
            found += [Gram(hashes[i], path, tokens[i][1], tokens[i + GRAM - 1][1]) for i in chosen]
            left -= len(text)
    return tuple(found)


def gram_hashes(path: str, text: str) -> list[int]:
    """The hash of every gram of a text, in order; none where nothing knows its language."""
    return _hashes(_tokens(path, text[:LARGEST]))


def _hashes(tokens: Sequence[tuple[int, int]]) -> list[int]:
    """Of numbers alone, so that they are the same in every process."""
    numbers = [number for number, _ in tokens]
    return [hash(tuple(numbers[i : i + GRAM])) for i in range(len(numbers) - GRAM + 1)]


def _winnowed(hashes: list[int]) -> Iterator[int]:
    """Where the least of each window is, once each; of equals the one chosen before, else the rightmost.

    So code that repeats itself has few fingerprints (*robust winnowing*, section 5.1).
    """
    last = -1
    for end in range(min(WINDOW, len(hashes)), len(hashes) + 1):
        start = max(end - WINDOW, 0)
        if last < start:
            best = min(range(start, end), key=lambda i: (hashes[i], -i)) if end else -1
        else:
            best = end - 1 if hashes[end - 1] < hashes[last] else last
        if best != last:
            last = best
            yield best


def _tokens(path: str, text: str) -> Sequence[tuple[int, int]]:
    """What counts of a text as numbers that are equal where it is, and the lines."""
    return _kept(path, text) if len(text) <= KEPT else _read(path, text)


@lru_cache(maxsize=256)
def _kept(path: str, text: str) -> Sequence[tuple[int, int]]:
    """As `_tokens`: what a course hands out is in many submissions as it was, and is read once."""
    return _read(path, text)


def _read(path: str, text: str) -> Sequence[tuple[int, int]]:
    try:
        lexer: Lexer = get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return ()
    # Lexers take time that grows with the square of a run of blank lines, and of a line's length.
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip() and len(line) <= LONGEST]
    # An end for comments that have none: else each one that is opened is looked for through all that follows.
    end = "" if PurePosixPath(path).suffix in _HASH_COMMENTS else "\n*/"
    found = []
    at = 0
    for kind, value in lexer.get_tokens("\n".join(line.rstrip() for _, line in lines) + end):
        number = _sort(kind)
        if number and at < len(lines) and (told := value.strip()):
            found.append((_number(told) if number == _ITSELF else number, lines[at][0]))
        at += value.count("\n")
    return found


@cache
def _sort(kind: _TokenType) -> int:
    """0 for what does not count, one number for all names, literals or numbers, `_ITSELF` for the rest."""
    if any(_is(kind, sort) for sort in (Comment, Whitespace, String.Doc)):
        return 0
    return next((_number(str(sort)) for sort in (Name, String, Number) if _is(kind, sort)), _ITSELF)


@lru_cache(maxsize=10_000)
def _number(value: str) -> int:
    return zlib.crc32(value.encode("utf-8", "surrogatepass")) + _ITSELF + 1


def _is(kind: _TokenType, sort: _TokenType) -> bool:
    """Whether a kind of token is of a sort: Pygments' kinds are paths, `Name.Function` is of `Name`."""
    return tuple(kind[: len(sort)]) == tuple(sort)
