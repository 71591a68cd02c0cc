"""Post Events. They are news, not state: a job never waits for one, or fails with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import times
from .api import Api, Conflict, NotLeading, Refused
from .breaker import Unavailable
from .events import build_event, news
from .job import Job
from .names import core_path
from .transitions import Transitions

TRY_AGAIN_S = 0.25
GOOD_FOR_S = 120.0
MOST_LATE = 1000
REMINDERS = 12

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Late:
    """An Event that could not be posted when it was news."""

    path: str
    body: dict[str, Any]
    until: float


class Reporter:
    """Posts the Events of a job under the name of this replica."""

    def __init__(
        self, api: Api, instance: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._instance = instance
        self._clock = clock
        self._late: deque[Late] = deque(maxlen=MOST_LATE)
        self._some_late = asyncio.Event()

    async def tell(self, job: Job, happened: Transitions) -> None:
        """Post one Event for each thing that a status write says has happened.

        What cannot be posted just now is left to `run`.
        """
        path = core_path("events", job.key.namespace)
        for item in news(happened):
            for nth in range(REMINDERS):
                body = build_event(job, item, self._instance, times.utc_now())
                body["metadata"]["name"] += f".{nth}"
                if not await self._done_with(path, body):
                    self._late.append(Late(path, body, self._clock() + GOOD_FOR_S))
                    self._some_late.set()

    async def run(self) -> None:
        """Post what is late as soon as that is possible; forever."""
        while True:
            await self._some_late.wait()
            await asyncio.sleep(TRY_AGAIN_S)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Post what is late, oldest first, until one fails again; what is too old is no news."""
        while self._late:
            late = self._late.popleft()
            if self._clock() < late.until and not await self._done_with(late.path, late.body):
                self._late.appendleft(late)
                return
        self._some_late.clear()

    async def _done_with(self, path: str, body: dict[str, Any]) -> bool:
        """Whether an Event is posted, or never can be."""
        try:
            await self._api.write("POST", path, body)
        except Conflict:
            return True  # told before
        except (Unavailable, NotLeading) as error:
            logger.info("An Event has to wait: %s", error)
            return False
        except Refused as error:
            logger.warning("An Event was not posted: %s", error)
        return True
