"""Gangs beside each other and beside others, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from apiserver import ApiServer
from builders import raw_job, raw_pod

from mltj_operator.api import Api
from mltj_operator.children import build_pod
from mltj_operator.job import parse_job
from mltj_operator.names import API_VERSION, GANG_GATE, core_path
from mltj_operator.scheduler import GangScheduler

JOBS = f"/apis/{API_VERSION}/namespaces/lab/mltrainingjobs"
PODS = core_path("pods", "lab")
ELSEWHERE = core_path("pods", "elsewhere")
GATED = {"schedulingGates": [{"name": GANG_GATE}]}


@pytest.fixture
def scheduler(api: Api) -> GangScheduler:
    return GangScheduler(api)


def a_gang_and_places(server: ApiServer, places: int) -> Any:
    """A gang of two whose pods wait, and one node."""
    node = {"metadata": {"name": "a"}, "status": {"allocatable": {"pods": str(places)}}}
    server.put("/api/v1/nodes", node)
    policy = {"schedulingPolicy": {"minAvailable": 2}}
    job = parse_job(server.put(JOBS, raw_job(policy=policy)))
    for index in (0, 1):
        server.put(PODS, build_pod(job, index))
    return job


def held(server: ApiServer) -> list[bool]:
    pods = (server.objects[f"{PODS}/train-{index}"] for index in (0, 1))
    return ["schedulingGates" in pod["spec"] for pod in pods]


async def test_pods_of_others_take_places_wherever_they_come_from(
    server: ApiServer, scheduler: GangScheduler
) -> None:
    job = a_gang_and_places(server, 2)
    blocker = raw_pod("blocker-0", "Running", spec={"nodeName": "a"})
    blocker["metadata"]["namespace"] = "elsewhere"
    server.put(ELSEWHERE, blocker)
    await scheduler.admit(job)
    assert held(server) == [True, True]
    del server.objects[f"{ELSEWHERE}/blocker-0"]
    await scheduler.admit(job)
    assert held(server) == [False, False]


async def test_a_gang_does_not_take_the_places_of_one_that_has_begun(
    server: ApiServer, scheduler: GangScheduler
) -> None:
    job = a_gang_and_places(server, 3)
    for name, spec in (("other-0", {}), ("other-1", GATED)):
        server.put(PODS, raw_pod(name, spec=spec))
    await scheduler.admit(job)
    assert held(server) == [True, True]
    del server.objects[f"{PODS}/other-1"]
    await scheduler.admit(job)
    assert held(server) == [False, False]


async def test_gates_of_others_stay(server: ApiServer, scheduler: GangScheduler) -> None:
    job = a_gang_and_places(server, 2)
    server.objects[f"{PODS}/train-1"]["spec"]["schedulingGates"].append({"name": "their/gate"})
    await scheduler.admit(job)
    assert server.objects[f"{PODS}/train-1"]["spec"]["schedulingGates"] == [{"name": "their/gate"}]
