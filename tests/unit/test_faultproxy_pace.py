"""Who comes by now and then is answered at once; who spins is slowed."""

from __future__ import annotations

from graders.faultproxy.pace import Pace


def held(pace: Pace, *times: float) -> list[float]:
    return [round(pace.delay(100.0 + t), 3) for t in times]


def test_a_few_tries_in_a_row_are_answered_at_once() -> None:
    assert held(Pace(burst=4, every_s=0.25, longest_s=1.0), 0, 0.01, 0.03, 0.07) == [0, 0, 0, 0]


def test_one_that_comes_seldom_is_never_held() -> None:
    assert held(Pace(burst=1, every_s=0.25, longest_s=1.0), *(n * 0.25 for n in range(40))) == [0] * 40


def test_one_that_spins_gets_an_answer_each_interval() -> None:
    pace, now, answered = Pace(burst=2, every_s=0.25, longest_s=1.0), 100.0, []
    for _ in range(6):
        now += pace.delay(now)
        answered.append(round(now - 100.0, 3))
    assert answered == [0, 0, 0.25, 0.5, 0.75, 1.0]


def test_a_pause_earns_the_burst_back() -> None:
    pace = Pace(burst=2, every_s=0.25, longest_s=1.0)
    assert held(pace, 0, 0, 0) == [0, 0, 0.25]
    assert held(pace, 2, 2, 2) == [0, 0, 0.25]


def test_many_at_once_are_not_held_for_long() -> None:
    assert max(held(Pace(burst=2, every_s=0.25, longest_s=1.0), *[0.0] * 50)) == 1.0
