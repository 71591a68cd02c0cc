from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from apiserver import ApiServer
from prometheus_client import CollectorRegistry

from mltj_operator.api import Api
from mltj_operator.breaker import Breaker
from mltj_operator.metrics import Metrics
from mltj_operator.reconcile import Reconciler
from mltj_operator.reporter import Reporter


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as running:
        yield running


async def _no_pause(_: float) -> None:
    return None


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[Api]:
    client = Api(server.login, Breaker(sleep=_no_pause))
    yield client
    await client.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def reconciler(api: Api, metrics: Metrics) -> Reconciler:
    return Reconciler(api, metrics, Reporter(api, "test"))
