"""What an API server that is slow to answer takes from a program."""

from __future__ import annotations

import pytest

from graders.faultproxy.answering import Answering


def slow_s(*waits: tuple[float, float]) -> float:
    answering = Answering()
    for since, until in waits:
        answering.took(100.0 + since, 100.0 + until)
    return round(answering.slow_s, 3)


@pytest.mark.parametrize(
    ("waits", "slow"),
    [
        ([(0.0, 0.008), (0.01, 0.019)], 0.0),
        ([(0.0, 0.05)], 0.04),
        ([(0.0, 0.05), (0.05, 0.1), (0.1, 0.15)], 0.12),
        ([(0.0, 0.05), (0.0, 0.05), (0.0, 0.05)], 0.04),
        ([(0.0, 0.05), (0.02, 0.09)], 0.08),
        ([(0.0, 30.0)], 0.99),
    ],
    ids=["prompt", "one", "one after another", "side by side", "overlapping", "made to wait"],
)
def test_what_goes_beyond_a_prompt_answer_counts_once(waits: list[tuple[float, float]], slow: float) -> None:
    assert slow_s(*waits) == slow
