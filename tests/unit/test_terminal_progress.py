"""What people see while they wait, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from graders.cli.progress import TerminalProgress, printable


class Clock:
    """Seconds that pass only when told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def logged() -> tuple[io.StringIO, Clock, TerminalProgress]:
    stream, clock = io.StringIO(), Clock()
    return stream, clock, TerminalProgress(Console(file=stream, width=80), clock=clock)


def test_a_log_has_a_line_for_the_start_and_the_end_of_a_task() -> None:
    stream, clock, progress = logged()
    with progress as shown:
        shown.say("first")
        with shown.task("building [etcd]", total=3) as task:
            task.update(done=1, detail="a package")
            clock.now_s = 12.34
    assert stream.getvalue() == "first\nbuilding [etcd] ...\nbuilding [etcd]: done (12.3 s)\n"


def test_a_log_hears_of_a_long_task_now_and_then() -> None:
    stream, clock, progress = logged()
    with progress.task("building", total=2_500_000) as task:
        for second in range(0, 40, 5):
            clock.now_s = second
            task.update(done=second * 50_000, detail=f"package {second}")
    assert stream.getvalue().splitlines()[1:-1] == [
        "building: 750000/2.5 M package 15",
        "building: 1.5 M/2.5 M package 30",
    ]


def test_a_task_that_fails_says_so() -> None:
    stream, _, progress = logged()
    with pytest.raises(KeyError), progress.task("building"):
        raise KeyError
    assert stream.getvalue().splitlines()[-1] == "building: failed (0.0 s)"


def test_a_terminal_shows_bars_and_keeps_how_each_task_ended() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with TerminalProgress(console) as progress:
        with progress.task("outer", total=4) as outer, progress.task("inner") as inner:
            outer.update(done=2, detail="half")
            inner.update(detail="looking")
        progress.say("lasting")
    shown = stream.getvalue()
    assert "outer: done" in shown
    assert "inner: done" in shown
    assert shown.rstrip().endswith("lasting")


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J\x1b[31mred", "\x1b]0;title\x07red", "\x1b]8;;evil\x1b\\red", "\x9b31mred", "r\u202eed\r\n\x00"],
)
def test_what_others_wrote_cannot_steer_a_terminal(hostile: str) -> None:
    stream, _, progress = logged()
    progress.say(hostile)
    assert all(character.isprintable() or character == "\n" for character in stream.getvalue())
    assert "\x1b" not in printable(hostile)
