"""One worker per job: never two visits to a job at once, and never one forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .api import Conflict, NotLeading, Refused
from .breaker import Unavailable
from .job import Key

GATHER_S = 0.05
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
MOST_AT_ONCE = 10

logger = logging.getLogger(__name__)

Visit = Callable[[Key], Awaitable[float | None]]


def retry_delay_s(failures: int) -> float:
    """How long to wait after this many failed visits in a row."""
    return float(min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_RETRY_S))


class Workers:
    """Visits jobs when woken, when their time has come, and again when a visit failed."""

    def __init__(self, visit: Visit, leading: Callable[[], bool]) -> None:
        self._visit = visit
        self._leading = leading
        self._woken: dict[Key, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    def wake(self, key: Key) -> None:
        """Have a job visited soon; while another replica leads, that is its business."""
        if not self._leading():
            return
        if key not in self._woken:
            self._woken[key] = asyncio.Event()
            task = asyncio.create_task(self._work(key), name=f"worker of {key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._woken[key].set()

    async def stop(self) -> None:
        """Cancel all workers and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, key: Key) -> None:
        woken = self._woken[key]
        failures = 0
        try:
            while self._leading():
                await asyncio.sleep(GATHER_S)  # events come in bunches
                woken.clear()
                try:
                    async with self._slots:
                        delay_s = await self._visit(key)
                except NotLeading:
                    return
                except (Conflict, Refused, Unavailable) as error:
                    failures += 1
                    logger.info("%s/%s: trying again: %s", *key, error)
                except Exception:  # one job's oddity must not stop the others
                    failures += 1
                    logger.exception("%s/%s: visit failed", *key)
                else:
                    failures = 0
                    if not woken.is_set() and not await _called(woken, delay_s):
                        return
                    continue
                await asyncio.sleep(retry_delay_s(failures))
        finally:
            del self._woken[key]


async def _called(woken: asyncio.Event, delay_s: float | None) -> bool:
    """Wait to be woken or for the time to come; without either, the sweep starts a new worker."""
    if delay_s is None:
        return False
    try:
        await asyncio.wait_for(woken.wait(), timeout=max(delay_s, GATHER_S))
    except TimeoutError:
        return True
    return True
