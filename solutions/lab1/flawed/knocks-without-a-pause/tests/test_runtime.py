import asyncio

import kopf
from apiserver import ApiServer
from builders import raw_job
from prometheus_client import CollectorRegistry

from mltj_operator.metrics import Metrics
from mltj_operator.names import API_VERSION, core_path, lease_path
from mltj_operator.runtime import Config, Runtime, read_config
from mltj_operator.shell import Patience, build_registry, configure


def test_the_environment_says_who_and_where_we_are() -> None:
    config = read_config({"POD_NAME": "me", "POD_NAMESPACE": "here", "METRICS_PORT": "9"})
    assert config == Config("me", "here", "127.0.0.1", 9)
    assert read_config({}).identity != read_config({}).identity


def test_kopf_only_watches() -> None:
    settings = kopf.OperatorSettings()
    configure(settings)
    assert not settings.posting.enabled
    pauses = iter(Patience())
    assert [next(pauses) for _ in range(2)] == [0.01, 0.01]


async def test_a_process_leads_works_and_gives_the_lease_back(server: ApiServer) -> None:
    server.put(f"/apis/{API_VERSION}/namespaces/lab/mltrainingjobs", raw_job())
    config = Config("me", "ops", metrics_port=0)
    runtime = Runtime(config, server.login, Metrics(CollectorRegistry()))
    build_registry(runtime)
    await runtime.start()
    try:
        async with asyncio.timeout(5):
            while server.names(core_path("pods", "lab")) != ["train-0", "train-1"]:
                await asyncio.sleep(0.01)
    finally:
        await runtime.stop()
    lease = server.objects[f"{lease_path('ops')}/mltj-operator"]
    assert lease["spec"]["holderIdentity"] == ""
    assert not runtime.failed.is_set()
