"""Post Events. They are news, not state: a job never waits for one, or fails with it."""

from __future__ import annotations

import logging

from . import times
from .api import Api, Conflict, NotLeading, Refused
from .breaker import Unavailable
from .events import build_event, news
from .job import Job
from .names import core_path
from .transitions import Transitions

ATTEMPTS = 3

logger = logging.getLogger(__name__)


class Reporter:
    """Posts the Events of a job under the name of this replica."""

    def __init__(self, api: Api, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def tell(self, job: Job, happened: Transitions) -> None:
        """Post one Event for each thing that a status write says has happened."""
        for item in news(happened):
            body = build_event(job, item, self._instance, times.utc_now())
            await self._post(core_path("events", job.key.namespace), body)

    async def _post(self, path: str, body: dict[str, object]) -> None:
        for _ in range(ATTEMPTS):
            try:
                await self._api.write("POST", path, body)
            except Unavailable:
                continue  # the client has waited already
            except Conflict:
                return  # told before
            except (Refused, NotLeading) as error:
                logger.warning("An Event was not posted: %s", error)
            return
