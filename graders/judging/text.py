"""Text that may come from a learner, made safe to keep: bounded, and without characters that act."""

import re

from graders.escapes import without_escapes

TEXT_CHARS = 4_000
"""Most characters of one text of an outcome."""

_MARKUP_FACTOR = 8
"""So many times as much is read, for what is left out is not to be counted."""

# Controls move a cursor or clear a screen, directional marks make text read as what it is not, and
# lone surrogates cannot be written as UTF-8.
_ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: object, limit: int = TEXT_CHARS) -> str:
    """`text` in at most `limit` characters, without escape sequences, all else that acts replaced by U+FFFD.

    Newlines and tabs stay.
    """
    whole = str(text)
    kept = without_escapes(whole[: limit * _MARKUP_FACTOR])
    kept = _ACTING.sub("\ufffd", kept.replace("\r\n", "\n"))
    fits = len(kept) <= limit and len(whole) <= limit * _MARKUP_FACTOR
    return kept if fits else kept[: limit - 1] + "…"


def clean_tail(text: str, limit: int) -> str:
    """Like `clean`, but the end of `text` is what stays: that is where a traceback says what happened."""
    kept = without_escapes(text[-limit * _MARKUP_FACTOR :])
    return clean(kept if len(kept) <= limit else "…" + kept[1 - limit :], limit)
