import pytest
from apiserver import ApiServer

from mltj_operator.api import Api, Conflict, NotFound, NotLeading, Refused
from mltj_operator.breaker import Unavailable
from mltj_operator.names import core_path


async def test_answers_that_no_retry_changes_say_what_they_are(server: ApiServer, api: Api) -> None:
    server.faults[("GET", "/pods/a")] = [404, 409, 422]
    for kind in (NotFound, Conflict, Refused):
        with pytest.raises(kind, match="GET /api/v1/namespaces/lab/pods/a"):
            await api.get(core_path("pods", "lab", "a"))


async def test_answers_that_a_retry_may_change_are_unavailable(server: ApiServer, api: Api) -> None:
    server.faults[("GET", "/pods")] = [503, 401, 429]
    for _ in range(3):
        with pytest.raises(Unavailable):
            await api.get(core_path("pods", "lab"))
    assert await api.get(core_path("pods", "lab")) == {"items": []}


async def test_no_answer_at_all_is_unavailable(server: ApiServer, api: Api) -> None:
    await server.__aexit__()
    with pytest.raises(Unavailable):
        await api.get(core_path("pods", "lab"))


async def test_a_replica_that_does_not_lead_sends_no_write(server: ApiServer, api: Api) -> None:
    api.may_write = lambda: False
    with pytest.raises(NotLeading):
        await api.write("POST", core_path("pods", "lab"), {"metadata": {"name": "a"}})
    assert server.requests == []
