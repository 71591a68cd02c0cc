"""Progress for people: live lines on a terminal, one plain line per start and end elsewhere."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Task as RichTask
from rich.table import Column
from rich.text import Text

from graders.cli.screen import Screen
from graders.escapes import without_escapes
from graders.progress import Task

_PLAIN_INTERVAL_S = 15.0
_MAX_DETAIL = 120
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def printable(text: str) -> str:
    """`text` as one line that cannot move a cursor, change colours or reverse what is read."""
    return _UNPRINTABLE.sub(" ", without_escapes(text))


class TerminalProgress:
    """Shows progress on `console`; tasks may run in several threads at once.

    Use it as a context manager around the whole command: the live display ends with it.
    """

    def __init__(
        self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Screen(file=sys.stderr)
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _BarWhenKnown(),
            _Counted(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False, table_column=_ONE_LINE),
            console=self._console,
            transient=True,
        )

    def say(self, text: str) -> None:
        """Print one lasting line (or several, if the text has line breaks)."""
        for line in text.splitlines():
            self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, text: str, total: float | None = None) -> Iterator[Task]:
        """Show a line while the block runs; how it ended stays on the screen."""
        title, started = printable(text), self._clock()
        if self._console.is_terminal:
            task: Task = _LiveTask(self._live, self._start(title, total))
        else:
            self._console.print(f"{title} ...", markup=False, highlight=False, soft_wrap=True)
            task = _PlainTask(title, total, self._console, self._clock)
        ended = "failed"
        try:
            yield task
            ended = "done"
        finally:
            if isinstance(task, _LiveTask):
                self._stop(task.id)
            took = f"{self._clock() - started:.1f} s"
            self._console.print(f"{title}: {ended} ({took})", markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.live.is_started:
            self._live.stop()

    def _start(self, title: str, total: float | None) -> TaskID:
        with self._lock:
            if self._running == 0:
                self._live.start()
            self._running += 1
            return self._live.add_task(title, total=total, detail="")

    def _stop(self, task: TaskID) -> None:
        with self._lock:
            self._live.remove_task(task)
            self._running -= 1
            if self._running == 0:
                self._live.stop()


class _LiveTask:
    def __init__(self, live: Progress, task: TaskID) -> None:
        self._live, self.id = live, task

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        self._live.update(self.id, completed=done, total=total, detail=printable(detail)[:_MAX_DETAIL])


class _PlainTask:
    """Prints how far it is, but seldom: a log is read afterwards."""

    def __init__(self, title: str, total: float | None, console: Console, clock: Callable[[], float]) -> None:
        self._title, self._total, self._console, self._clock = title, total, console, clock
        self._told = clock()

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        self._total = total if total is not None else self._total
        now = self._clock()
        if now - self._told < _PLAIN_INTERVAL_S:
            return
        self._told = now
        counted = _fraction(done, self._total) if done is not None else ""
        words = " ".join(word for word in (counted, printable(detail)[:_MAX_DETAIL]) if word)
        self._console.print(f"{self._title}: {words}", markup=False, highlight=False, soft_wrap=True)


class _BarWhenKnown(BarColumn):
    """A bar where the end is known, nothing where it is not."""

    def render(self, task: RichTask) -> Text:  # type: ignore[override]
        return Text("") if task.total is None else super().render(task)  # type: ignore[return-value]


class _Counted(ProgressColumn):
    """How much is done of how much, in thousands and millions where numbers are long."""

    def render(self, task: RichTask) -> Text:
        if task.total is None and not task.completed:
            return Text("")
        return Text(_fraction(task.completed, task.total))


_ONE_LINE = Column(no_wrap=True, overflow="ellipsis")


def _fraction(done: float, total: float | None) -> str:
    return _short(done) if total is None else f"{_short(done)}/{_short(total)}"


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"
