import asyncio

from mltj_operator.api import Conflict
from mltj_operator.job import Key
from mltj_operator.workers import LONGEST_RETRY_S, Workers, retry_delay_s

KEY = Key("lab", "train")


def test_retries_slow_down_to_a_bound() -> None:
    assert retry_delay_s(1) < retry_delay_s(2) < retry_delay_s(3)
    assert retry_delay_s(50) == LONGEST_RETRY_S


async def test_a_failed_visit_is_repeated_and_visits_never_overlap() -> None:
    done = asyncio.Event()
    visits = 0
    inside = 0

    async def visit(_: Key) -> None:
        nonlocal visits, inside
        visits += 1
        inside += 1
        assert inside == 1
        await asyncio.sleep(0)
        inside -= 1
        if visits == 1:
            raise Conflict(409, "status", "changed")
        done.set()

    workers = Workers(visit, lambda: True)
    for _ in range(5):
        workers.wake(KEY)
    async with asyncio.timeout(5):
        await done.wait()
    await workers.stop()
    assert visits == 2


async def test_a_visit_that_asks_for_another_gets_it() -> None:
    seen = asyncio.Event()
    times = 0

    async def visit(_: Key) -> float | None:
        nonlocal times
        times += 1
        if times == 2:
            seen.set()
        return 0.01 if times == 1 else None

    workers = Workers(visit, lambda: True)
    workers.wake(KEY)
    async with asyncio.timeout(5):
        await seen.wait()
    await workers.stop()


async def test_a_replica_that_does_not_lead_visits_nobody() -> None:
    async def visit(_: Key) -> None:
        raise AssertionError("visited")

    workers = Workers(visit, lambda: False)
    workers.wake(KEY)
    await workers.stop()
