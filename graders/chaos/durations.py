"""Durations as Go writes them, "1m30s", "500ms", and numbers that are written as text."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


_LONGEST_NUMBER = 9
_DAY_S = 86_400.0


def whole_number(text: str, least: int, most: int) -> int | None:
    """The number that a text of digits is, if it is one from `least` to `most`."""
    if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        return None
    number = int(text)
    return number if least <= number <= most else None


def seconds_of(text: str) -> float:
    """The seconds that a duration says.

    Raises:
        ValueError: it is none, or not above 0, or over a day.
    """
    parts, at, total = _PART.finditer(text.removeprefix("+")), 0, 0.0
    for part in parts:
        if part.start() != at:
            break
        at, total = part.end(), total + float(part[1]) * _UNITS[part[2]]
    if not 0 < total <= _DAY_S or at != len(text.removeprefix("+")):
        raise ValueError(text)
    return total
