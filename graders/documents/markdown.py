"""The sections of a Markdown text (CommonMark): headings in code are none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_CODE = frozenset({"fence", "code_block"})
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next heading of its rank or a higher one.

    `line` counts from 1. `has_steps` says whether a list or code stands there, and says anything.
    """

    title: str
    level: int
    line: int
    body: str
    has_steps: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands there but headings, and comments that nobody sees."""
        lines = (line.strip() for line in _COMMENT.sub("", self.body).splitlines())
        return not any(line and not line.startswith("#") for line in lines)

    def names(self, words: str) -> bool:
        """Whether its title names `words`; hyphens and blanks are the same."""
        return _plain(words) in f" {_plain(self.title)} "

    @property
    def plain(self) -> str:
        """What stands in it in small letters, on one line."""
        return _plain(self.body)


def sections(text: str) -> list[Section]:
    """All sections, those within others too."""
    tokens = MarkdownIt("commonmark").parse(text)
    lines = text.splitlines()
    heads = [at for at, token in enumerate(tokens) if token.type == "heading_open" and token.level == 0]
    return [_section(tokens, heads, number, lines) for number in range(len(heads))]


def _section(tokens: Sequence[Token], heads: Sequence[int], number: int, lines: Sequence[str]) -> Section:
    at = heads[number]
    level = int(tokens[at].tag[1:])
    after = (head for head in heads[number + 1 :] if int(tokens[head].tag[1:]) <= level)
    end = next(after, len(tokens))
    begin_line, body_line = tokens[at].map or [0, 1]
    end_line = (tokens[end].map or [len(lines)])[0] if end < len(tokens) else len(lines)
    within = tokens[at + 3 : end]
    return Section(
        title=tokens[at + 1].content.strip(),
        level=level,
        line=begin_line + 1,
        body="\n".join(lines[body_line:end_line]),
        has_steps=_has_steps(within),
    )


def _has_steps(within: Sequence[Token]) -> bool:
    """Whether there is code, or an item of a list, with something in it."""
    depth = 0
    for token in within:
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        command = token.type in _CODE or any(child.type == "code_inline" for child in token.children or ())
        if token.content.strip() and (command or (depth and token.type == "inline")):
            return True
    return False


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.replace("`", "")).strip().lower()
