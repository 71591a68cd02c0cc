"""Makes text that a learner may have written safe to show anywhere: page, terminal, XML, JSON.

Escape sequences vanish; every other character that moves a cursor, hides, reorders text or is not a
character at all becomes U+FFFD, so that a reader sees something was there.
"""

import json
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from graders.escapes import without_escapes

LIMIT = 4_000
"""Characters of one text in a report."""

ITEMS = 200
"""Entries of one list or mapping in a report."""

_DEPTH = 8
_BITS = 1_024
_MARKUP_FACTOR = 8
_COMBINING = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE = re.compile(f"({_COMBINING}{{8}}){_COMBINING}+")
_JOINERS = "\u200c\u200d"
_REPLACED = "\ufffd"


def clean(text: str, limit: int = LIMIT) -> str:
    """`text` without escape sequences and control, format and reordering characters.

    Newlines and tabs stay; of marks piled on one letter eight stay. At most `limit` characters
    are kept, and a note says how many were left out.
    """
    raw = text[: limit * _MARKUP_FACTOR]
    kept = raw
    if not (raw.isascii() and raw.isprintable()):
        kept = without_escapes(raw).replace("\r\n", "\n")
        kept = _PILE.sub(r"\1", "".join(map(_shown, kept)))
    lost = max(len(kept) - limit, 0) + len(text) - len(raw)
    return f"{kept[:limit]}… ({lost:,} more characters)" if lost else kept


def one_line(text: str, limit: int = 200) -> str:
    """`text` cleaned, on one line, cut to `limit` characters."""
    words = " ".join(clean(text, limit * 4).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def plain(value: object, depth: int = _DEPTH) -> Any:
    """`value` as JSON data: texts cleaned, numbers finite, at most `ITEMS` entries a level."""
    if isinstance(value, Mapping) and depth:
        kept = {clean(str(key), 200): plain(item, depth - 1) for key, item in islice(value.items(), ITEMS)}
        return kept | ({"…": f"{len(value) - ITEMS:,} more"} if len(value) > ITEMS else {})
    if isinstance(value, Collection) and depth and not isinstance(value, (str, bytes)):
        shown = [plain(item, depth - 1) for item in islice(value, ITEMS)]
        return shown + ([f"… {len(value) - ITEMS:,} more"] if len(value) > ITEMS else [])
    too_deep = isinstance(value, Collection) and not isinstance(value, (str, bytes))
    return "…" if too_deep else _scalar(value)


def _scalar(value: object) -> Any:
    kept: Any = None
    match value:
        case None | bool():
            kept = value
        case int():
            kept = int(value) if value.bit_length() <= _BITS else f"a number of {value.bit_length():,} bits"
        case float():
            kept = float(value) if math.isfinite(value) else str(value)
        case Decimal():
            kept = number(value) if value.is_finite() else str(value)
        case bytes():
            kept = f"{len(value):,} bytes"
        case _:
            kept = clean(str(value))
    return kept


def fact_text(value: object, limit: int = LIMIT) -> str:
    """A measured value as a person reads it: text as it is, numbers short, the rest as JSON."""
    data = plain(value)
    if isinstance(data, str):
        return clean(data, limit)
    if isinstance(data, float):
        return f"{data:.6g}"
    if isinstance(data, list) and all(isinstance(item, (str, int, float)) for item in data):
        return clean(", ".join(fact_text(item) for item in data) or "none", limit)
    return clean(json.dumps(data, ensure_ascii=False), limit)


def number(value: Decimal) -> int | float:
    """`value` as the JSON number with the same digits; exact to 15 significant digits."""
    return int(value) if value == value.to_integral_value() else float(value)


def points_text(value: Decimal | None) -> str:
    """Points as people write them: no trailing zeros; a dash where there are none to tell."""
    if value is None:
        return "–"
    return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"


def _shown(character: str) -> str:
    if " " <= character <= "~" or character in "\n\t":
        return character
    kind = unicodedata.category(character)
    if kind in ("Zl", "Zp") or character == "\r":
        return "\n"
    hidden = kind in ("Cc", "Cf", "Cs") and character not in _JOINERS
    code = ord(character)
    return _REPLACED if hidden or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF else character
