"""Leader election over a Lease.

A replica may write for `WRITE_WINDOW_S` after it *sent* a renewal that succeeded, which is less
than the lease lasts for those who watch it. Both sides measure on their own monotonic clock, so a
process that was stopped for a while finds its window closed before it can do harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from . import times
from .api import Api, Conflict, NotFound, Refused
from .breaker import Unavailable
from .names import lease_path

LEASE_DURATION_S = 5
WRITE_WINDOW_S = 3.5
RENEW_EVERY_S = 1.0
LOOK_AGAIN_S = 0.1

logger = logging.getLogger(__name__)


class Elector:
    """Takes and keeps one Lease on behalf of one process."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._write_until = float("-inf")
        self._held: dict[str, Any] | None = None
        self.answered = False
        """Whether the API server was reached at least once."""

    @property
    def leading(self) -> bool:
        """Whether this process may write at this moment."""
        return self._clock() < self._write_until

    async def run(self) -> None:
        """Stay elected, or wait to be; forever."""
        was_leading = False
        while True:
            try:
                await self.step()
            except (Conflict, NotFound):
                # Somebody else changed it: look again, and until then don't write.
                self._held, self._write_until = None, float("-inf")
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            except (Unavailable, Refused) as error:
                logger.warning("The lease can't be renewed: %s", error)
            if self.leading != was_leading:
                was_leading = self.leading
                logger.info("%s %s", self._identity, "leads" if was_leading else "stands by")
            await asyncio.sleep(RENEW_EVERY_S)

    async def step(self) -> None:
        """Renew the lease, or take it if it is free.

        Raises:
            Conflict: another replica was faster.
            NotFound: the lease was deleted meanwhile.
            Refused, Unavailable: the API server said no, or nothing.
        """
        lease = self._held or await self._read()
        if lease is None:
            return
        sent_at = self._clock()
        method, path = "PUT", lease_path(self._namespace, self._name)
        if "resourceVersion" not in lease["metadata"]:
            method, path = "POST", lease_path(self._namespace)
        self._held = await self._api.request(method, path, body=self._claimed(lease))
        self._write_until = sent_at + WRITE_WINDOW_S
        self.answered = True

    async def release(self) -> None:
        """Give the lease back, so that another replica need not wait for it to run out."""
        self._write_until = float("-inf")
        if self._held is None:
            return
        freed = {**self._held, "spec": {**self._held["spec"], "holderIdentity": ""}}
        try:
            path = lease_path(self._namespace, self._name)
            await self._api.request("PUT", path, body=freed)
        except (Refused, Unavailable) as error:
            logger.info("The lease is left to run out: %s", error)

    async def _read(self) -> dict[str, Any] | None:
        """The lease as it is if it may be taken, a new one if there is none, else None."""
        try:
            lease = await self._api.get(lease_path(self._namespace, self._name))
        except NotFound:
            meta = {"name": self._name, "namespace": self._namespace}
            return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        self.answered = True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        return lease if holder in ("", self._identity) else None

    def _claimed(self, lease: dict[str, Any]) -> dict[str, Any]:
        now = times.render_micro(times.utc_now())
        spec = lease.get("spec") or {}
        moved = spec.get("holderIdentity") != self._identity
        return {
            **lease,
            "spec": {
                **spec,
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_DURATION_S,
                "renewTime": now,
                "acquireTime": now if moved else spec.get("acquireTime", now),
                "leaseTransitions": spec.get("leaseTransitions", 0) + (1 if moved else 0),
            },
        }
