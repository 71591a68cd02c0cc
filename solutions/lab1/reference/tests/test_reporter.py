import pytest
from apiserver import ApiServer
from builders import a_job

from mltj_operator.api import Api
from mltj_operator.names import core_path
from mltj_operator.reporter import ATTEMPTS, Reporter
from mltj_operator.transitions import Transitions

EVENTS = core_path("events", "lab")
CREATED = Transitions(True, False, False, False, False, False, 0, None)


async def test_news_are_posted_once(server: ApiServer, api: Api) -> None:
    reporter = Reporter(api, "test")
    await reporter.tell(a_job(), CREATED)
    await reporter.tell(a_job(), CREATED)
    (name,) = server.names(EVENTS)
    event = server.objects[f"{EVENTS}/{name}"]
    assert (event["reason"], event["involvedObject"]["name"]) == ("Created", "train")


async def test_a_post_is_repeated_when_that_may_help(server: ApiServer, api: Api) -> None:
    server.faults[("POST", "/events")] = [503]
    await Reporter(api, "test").tell(a_job(), CREATED)
    assert len(server.names(EVENTS)) == 1


@pytest.mark.parametrize("faults", [[403], [503] * ATTEMPTS])
async def test_news_that_cannot_be_posted_stop_nobody(
    server: ApiServer, api: Api, faults: list[int]
) -> None:
    server.faults[("POST", "/events")] = faults
    await Reporter(api, "test").tell(a_job(), CREATED)
    assert server.names(EVENTS) == []
