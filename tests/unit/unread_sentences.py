"""What a lab text says and no rule reads: each sentence has to be a rule, or be known to explain only."""

import re
from collections.abc import Iterable, Iterator

from graders.course.course import Lab
from graders.course.limits import BEGIN, END
from graders.course.rules import TEXT, load_background, load_rules, plain

_ENOUGH = 12
"""Of so many characters in a row a quote has read a sentence; of a shorter one, of all."""
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4,}\S.*$", re.MULTILINE)
_RULED_OFF = re.compile(r"^[|\s:-]+$", re.MULTILINE)
_ENDS = re.compile(r"(?<=[.!?])[*_]*\s+(?=[A-Z*_`\"])|\|")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*- )|\n(?=\|)")
_WORDS = 4
"""Cells of fewer words are names of columns and criteria."""


def unread(lab: Lab) -> tuple[str, ...]:
    """The sentences, and cells of tables, that neither a rule nor the background quotes, as they stand.

    Headings, blocks of code and the table of limits, which a program makes, are none.

    Raises:
        CourseError: as for `load_rules` and `load_background`.
    """
    text = (lab.folder / TEXT).read_text(encoding="utf-8")
    quotes = (*(rule.sentence for rule in load_rules(lab)), *load_background(lab))
    whole = plain(text)
    read = bytearray(len(whole))
    for quote in quotes:
        for place in re.finditer(re.escape(quote), whole):
            read[place.start() : place.end()] = b"\1" * len(quote)
    return tuple(each for each in _sentences(text) if not _is_read(each, whole, read))


def _is_read(sentence: str, whole: str, read: bytearray) -> bool:
    places = [match.start() for match in re.finditer(re.escape(sentence), whole)]
    enough = min(_ENOUGH, len(sentence))
    return any(b"\1" * enough in read[at : at + len(sentence)] for at in places)


def _sentences(text: str) -> Iterator[str]:
    prose = _RULED_OFF.sub("", _INDENTED.sub("", _FENCED.sub("", _without_limits(text))))
    for block in _BLOCK.split(prose):
        yield from _of_block(line for line in block.splitlines() if not line.startswith("#"))


def _of_block(lines: Iterable[str]) -> Iterator[str]:
    for piece in _ENDS.split(plain("\n".join(lines)).removeprefix("- ")):
        if len(piece.split()) >= _WORDS:
            yield piece.strip()


def _without_limits(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + rest.partition(END)[2]
