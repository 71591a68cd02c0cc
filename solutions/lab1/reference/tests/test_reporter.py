import asyncio
import itertools

import pytest
from apiserver import ApiServer
from builders import a_job, raw_job

from mltj_operator.api import Api
from mltj_operator.breaker import Unavailable
from mltj_operator.job import Key
from mltj_operator.names import API_VERSION, core_path
from mltj_operator.reconcile import Reconciler
from mltj_operator.reporter import Reporter
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
    reporter = Reporter(api, "test")
    server.faults[("POST", "/events")] = [503, 503]
    await reporter.tell(a_job(), CREATED)
    await reporter.catch_up()
    assert server.names(EVENTS) == []
    await reporter.catch_up()
    assert len(server.names(EVENTS)) == 1


async def test_who_does_not_lead_tells_later(server: ApiServer, api: Api) -> None:
    reporter = Reporter(api, "test")
    api.may_write = lambda: False
    await reporter.tell(a_job(), CREATED)
    assert server.writes() == []
    telling = asyncio.create_task(reporter.run())
    api.may_write = lambda: True
    async with asyncio.timeout(5):
        while not server.names(EVENTS):
            await asyncio.sleep(0.01)
    telling.cancel()


async def test_old_news_are_not_told(server: ApiServer, api: Api) -> None:
    hours = itertools.count(0.0, 3600.0)
    reporter = Reporter(api, "test", clock=lambda: next(hours))
    server.faults[("POST", "/events")] = [503]
    await reporter.tell(a_job(), CREATED)
    await reporter.catch_up()
    await reporter.catch_up()
    assert server.names(EVENTS) == []


async def test_news_that_are_refused_stop_nobody(server: ApiServer, api: Api) -> None:
    reporter = Reporter(api, "test")
    server.faults[("POST", "/events")] = [403]
    await reporter.tell(a_job(), CREATED)
    await reporter.catch_up()
    assert server.names(EVENTS) == []


async def test_news_of_a_write_whose_answer_was_lost_are_told_once(
    server: ApiServer, reconciler: Reconciler
) -> None:
    server.put(f"/apis/{API_VERSION}/namespaces/lab/mltrainingjobs", raw_job())
    server.lost_answers.append("PATCH")
    with pytest.raises(Unavailable):
        await reconciler.reconcile(Key("lab", "train"))
    await reconciler.reconcile(Key("lab", "train"))
    assert len(server.names(EVENTS)) == 1
