"""How long work tells a person what it is doing and what it is waiting for.

Code that works takes a `Progress` and never knows whether a terminal, a log or nobody listens.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One line of progress."""

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        """Set how much is done (in the task's own unit) and what is being waited for."""


class Progress(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """Print one lasting line."""

    def task(self, text: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Show a line while the block runs; `total` None means that the end is not known."""


class Silent:
    """Progress nobody watches; it still keeps the last words, for tests and error messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep the line."""
        self.said.append(text)

    @contextmanager
    def task(self, text: str, total: float | None = None) -> Iterator[Task]:
        """Keep the title; details are dropped."""
        del total
        self.said.append(text)
        yield _SilentTask()


class _SilentTask:
    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        """Drop it."""
