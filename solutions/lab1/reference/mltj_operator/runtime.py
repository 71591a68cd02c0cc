"""Everything that runs in one operator process, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass

from aiohttp import web

from . import serving
from .api import Api, Login
from .election import Elector
from .job import Key
from .metrics import Metrics
from .names import COMPONENT
from .reconcile import Reconciler
from .reporter import Reporter
from .sweep import Sweeper
from .workers import Workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """What a Deployment decides."""

    identity: str
    namespace: str = "mltj-system"
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 8080


def read_config(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the environment of this process.

    Raises:
        ValueError: METRICS_PORT is not a number.
    """
    made_up = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    return Config(
        identity=environ.get("POD_NAME") or made_up,
        namespace=environ.get("POD_NAMESPACE") or Config.namespace,
        metrics_address=environ.get("METRICS_ADDRESS") or Config.metrics_address,
        metrics_port=int(environ.get("METRICS_PORT") or Config.metrics_port),
    )


class Runtime:
    """The parts of the operator that run beside kopf's watches."""

    def __init__(self, config: Config, login: Login, metrics: Metrics) -> None:
        self.failed = asyncio.Event()
        """Set when a part that should run forever has ended."""
        self._config = config
        self._api = Api(login)
        self._elector = Elector(self._api, config.namespace, COMPONENT, config.identity)
        self._api.may_write = self._is_leading
        self._metrics = metrics
        self._reporter = Reporter(self._api, config.identity)
        self._reconciler = Reconciler(self._api, metrics, self._reporter)
        self._workers = Workers(self._reconciler.reconcile, self._is_leading)
        self._sweeper = Sweeper(self._api, metrics, self._workers.wake, self._is_leading)
        self._tasks: list[asyncio.Task[None]] = []
        self._server: web.AppRunner | None = None

    def job_changed(self, namespace: str, name: str, resource_version: str) -> None:
        """Have a job looked at, unless the news is what the operator has just written itself."""
        key = Key(namespace, name)
        if not self._reconciler.knows(key, resource_version):
            self._workers.wake(key)

    def child_changed(self, namespace: str, job_name: str) -> None:
        """Have the job of a pod or a Service looked at."""
        self._workers.wake(Key(namespace, job_name))

    async def start(self) -> None:
        """Start serving, then take part in the election.

        Raises:
            OSError: the metrics port is in use.
        """
        app = serving.build_app(
            self._metrics.registry,
            alive=lambda: not self.failed.is_set(),
            ready=lambda: self._elector.answered,
        )
        config = self._config
        self._server = await serving.start(app, config.metrics_address, config.metrics_port)
        self._keep(self._elector.run(), "election")
        self._keep(self._sweeper.run(), "sweep")
        self._keep(self._reporter.run(), "events")

    async def stop(self) -> None:
        """Stop writing, give the lease back, close everything."""
        for task in self._tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._workers.stop()
        await self._elector.release()
        if self._server:
            await self._server.cleanup()
        await self._api.close()

    def _is_leading(self) -> bool:
        return self._elector.leading

    def _keep(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        cause = None if task.cancelled() else task.exception()
        logger.critical("The %s task has ended", task.get_name(), exc_info=cause)
        self.failed.set()
