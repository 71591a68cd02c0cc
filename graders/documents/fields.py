"""Kinds of values that submission.yaml and papers have in common."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from graders.documents import misfit
from graders.documents.wording import quote

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _seconds(value: object) -> object:
    """A number of seconds, whole or not; what is no number stays as it is, for the model to refuse."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 0 <= value < float("inf"):
        raise misfit(f"{value} is no number of seconds", "write a number from 0 up")
    return float(value)


def _text(text: str) -> str:
    if not text.strip():
        raise misfit("is empty", "write what it should say")
    return text


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise misfit(f"{quote(text)} is no SHA-256", "write the 64 digits that `sha256sum FILE` prints")
    return text


def _stamp(text: str) -> str:
    instant(text)
    return text


def instant(text: str) -> datetime:
    """The instant that a date or a time of RFC 3339 says; where no zone stands, UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise misfit(
            f"{quote(text)} is no time", "write it as in 2026-05-31 or 2026-05-31T12:00:00Z"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _bounds(value: object) -> object:
    if isinstance(value, list) and len(value) == 2:
        lower, upper = map(_seconds, value)
        if isinstance(lower, float) and isinstance(upper, float) and upper < lower:
            raise misfit(
                f"the upper bound {upper:g} is below the lower one {lower:g}", "write [lower, upper]"
            )
        return [lower, upper]
    raise misfit("is no interval", "write two bounds in seconds: [lower, upper]; null where there is none")


Seconds = Annotated[float, BeforeValidator(_seconds)]
Text = Annotated[str, AfterValidator(_text)]
Digest = Annotated[str, AfterValidator(_digest)]
Stamp = Annotated[str, AfterValidator(_stamp)]
Bounds = Annotated[list[float | None], Field(min_length=2, max_length=2), BeforeValidator(_bounds)]
"""Lower and upper bound in seconds; no upper one where the end was not seen."""
