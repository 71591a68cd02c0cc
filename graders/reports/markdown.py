"""Text in Markdown that stays text: whatever a learner wrote, it makes no link, image, tag or table.

For GitHub's flavour, and for GitLab's, which adds nothing here.
"""

import html
import re

_PUNCTUATION = re.compile(r"([\\`*_\[\]!|~^$])")
_FENCE = re.compile(r"`{3,}")
_STARTS = re.compile(r"^(\d*)([.)#+=-])")


def escaped(text: str) -> str:
    """`text` for a paragraph or a table cell: one line, shown letter by letter.

    Mentions and addresses are broken up as well, which renderers would otherwise turn into links.
    """
    line = " ".join(text.split())
    safe = _PUNCTUATION.sub(r"\\\1", html.escape(line, quote=False))
    safe = _STARTS.sub(r"\1\\\2", safe)
    return safe.replace("@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: str) -> str:
    """`text` on one line as code, whatever backticks are in it, also inside a table."""
    line = " ".join(text.split())
    marks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    # A cell ends at a bar even inside code; nothing that is code needs one, so it is told by its look-alike.
    shown = line.replace("|", "∣")
    return f"{marks} {shown} {marks}" if "`" in line else f"{marks}{shown or ' '}{marks}"


def block(text: str, language: str = "") -> str:
    """`text` as a block of code, with a fence that is longer than any in it."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
