from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from apiserver import ApiServer

from mltj_operator.api import Api
from mltj_operator.breaker import Breaker


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
