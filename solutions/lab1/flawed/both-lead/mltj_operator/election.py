"""Whether this process may write: it always may, for the Deployment has one replica."""

from __future__ import annotations

import asyncio

from .api import Api, Refused
from .breaker import Unavailable
from .names import ALL_JOBS

LOOK_EVERY_S = 1.0


class Elector:
    """Leads from the start."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self.answered = False
        """Whether the API server was reached at least once."""

    @property
    def leading(self) -> bool:
        """Whether this process may write at this moment."""
        return True

    async def run(self) -> None:
        """See that the API server is there; forever."""
        while True:
            try:
                if not self.answered:
                    await self._api.get(ALL_JOBS, limit="1")
                    self.answered = True
            except (Refused, Unavailable):
                pass
            await asyncio.sleep(LOOK_EVERY_S)

    async def release(self) -> None:
        """There is nothing to give back."""
