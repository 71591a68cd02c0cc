"""A record type of this lab alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Page:
    """The text that was handed in."""

    FILE: ClassVar[str] = "pages.jsonl"

    t: float
    words: tuple[str, ...]
