"""What an executed notebook leaves in a bundle."""

from dataclasses import dataclass
from typing import ClassVar

WITHIN_S = 120.0
"""In what time all its cells are to be executed."""


@dataclass(frozen=True)
class ExecutedNotebook:
    """The report that is a notebook, after all its cells were executed; `how` says how that ended."""

    FILE: ClassVar[str] = "executednotebooks.jsonl"

    t: float
    ok: bool
    how: str
    text: str
