"""Waiting: to a deadline on a clock that tests own, with the last mismatch kept."""

from __future__ import annotations

import threading

import pytest

from graders.polling import NotYet, TimedOut, wait_for


class Ticking:
    """A clock that moves one second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_what_the_probe_returns_is_what_is_got() -> None:
    assert wait_for(lambda: "there", timeout_s=0) == "there"


def test_the_probe_is_asked_until_it_holds() -> None:
    left = [3]

    def probe() -> str:
        left[0] -= 1
        if left[0]:
            raise NotYet(f"{left[0]} to go")
        return "done"

    assert wait_for(probe, timeout_s=100, interval_s=0, clock=Ticking()) == "done"


def test_a_timeout_tells_the_last_mismatch() -> None:
    seen = []

    def probe() -> None:
        seen.append(f"{len(seen)} of 3 nodes are Ready")
        raise NotYet(seen[-1])

    with pytest.raises(TimedOut) as late:
        wait_for(probe, timeout_s=4, interval_s=0, clock=Ticking())

    assert len(seen) > 1
    assert str(late.value) == seen[-1]


def test_a_probe_is_asked_once_even_when_no_time_is_left() -> None:
    assert wait_for(lambda: 1, timeout_s=-1) == 1


def test_any_other_error_stops_the_wait_at_once() -> None:
    asked = []

    def probe() -> None:
        asked.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_for(probe, timeout_s=100)
    assert asked == [1]


def test_news_ends_the_pause_between_two_looks() -> None:
    news, looks = threading.Event(), []

    def probe() -> None:
        looks.append(1)
        if len(looks) == 1:
            news.set()
            raise NotYet("first look")

    # Without the news the pause would outlast the test's own time limit.
    wait_for(probe, timeout_s=3600, interval_s=3600, wake=news)
    assert len(looks) == 2
