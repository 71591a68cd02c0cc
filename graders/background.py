"""Work that goes on in a thread of its own for as long as a block runs."""

import threading
from abc import ABC, abstractmethod
from typing import Self

_ENDS_WITHIN_S = 10.0


class BackgroundThread(ABC):
    """A context manager whose `_run` is called in a thread and returns soon after `_stop` is set."""

    def __init__(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_ENDS_WITHIN_S)

    @property
    def alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stop` is set."""
