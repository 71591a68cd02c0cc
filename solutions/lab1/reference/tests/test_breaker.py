import pytest

from mltj_operator.breaker import LONGEST_PAUSE_S, Breaker, Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


async def refuse() -> str:
    raise Unavailable("down")


async def answer() -> str:
    return "up"


async def test_pauses_grow_to_a_bound_and_end_with_the_first_answer() -> None:
    clock = Clock()
    breaker = Breaker(lambda: clock.now, clock.sleep)
    for _ in range(7):
        with pytest.raises(Unavailable):
            await breaker.run(refuse)
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert await breaker.run(answer) == "up"
    clock.pauses.clear()
    assert await breaker.run(answer) == "up"
    assert clock.pauses == []
