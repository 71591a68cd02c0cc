"""How an experiment is run, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """How an experiment is run: `bare` leaves its hypothesis alone of it, `dry` leaves out its actions.

    With `continuous`, its hypothesis is asked all the time. `first_write` says when it has written first,
    None while it has not: it is aborted in the next pause.
    """

    purpose: str
    bare: bool = False
    dry: bool = False
    continuous: bool = False
    first_write: Callable[[], float | None] | None = None

    @property
    def aborted(self) -> bool:
        """Whether it is aborted."""
        return self.first_write is not None
