"""Turns: what would disturb a measurement waits for it, and the other way round."""

import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Turn:
    """The right to start a cluster, or to be between a fault and its recovery; one lane has it at a time.

    `shared` is the same lock for all lanes. As a context manager it is taken, and given back in the end; who
    is in steady state again may give it back before. One thread uses it.
    """

    shared: threading.Lock = field(default_factory=threading.Lock)
    held: bool = False

    def take(self) -> None:
        """Wait until no other lane has it; nothing if this one does."""
        if not self.held:
            self.shared.acquire()
            self.held = True

    def give(self) -> None:
        """Let the next lane have it; nothing if this one does not."""
        if self.held:
            self.held = False
            self.shared.release()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give()
