"""The whole way, over HTTP, against a small API server."""

from __future__ import annotations

import contextlib

import pytest
from apiserver import ApiServer
from builders import raw_job, raw_pod

from mltj_operator.api import Api, Conflict
from mltj_operator.breaker import Unavailable
from mltj_operator.job import Key
from mltj_operator.metrics import Metrics
from mltj_operator.names import API_VERSION, GANG_GATE, core_path
from mltj_operator.reconcile import Reconciler
from mltj_operator.reporter import Reporter
from mltj_operator.sweep import Sweeper

KEY = Key("lab", "train")
JOBS = f"/apis/{API_VERSION}/namespaces/lab/mltrainingjobs"
PODS = core_path("pods", "lab")


def status_of(server: ApiServer) -> dict[str, object]:
    found: dict[str, object] = server.objects[f"{JOBS}/train"]["status"]
    return found


async def test_a_job_gets_its_children_and_then_peace(
    server: ApiServer, reconciler: Reconciler
) -> None:
    server.put(JOBS, raw_job())
    await reconciler.reconcile(KEY)
    assert server.names(PODS) == ["train-0", "train-1"]
    assert server.names(core_path("services", "lab")) == ["train"]
    await reconciler.reconcile(KEY)
    seen = len(server.writes())
    await reconciler.reconcile(KEY)
    assert len(server.writes()) == seen


async def test_nothing_is_done_for_a_job_that_is_gone(
    server: ApiServer, reconciler: Reconciler
) -> None:
    assert await reconciler.reconcile(KEY) is None
    assert server.writes() == []


async def test_a_failed_pod_is_replaced(server: ApiServer, reconciler: Reconciler) -> None:
    server.put(JOBS, raw_job())
    server.put(PODS, raw_pod("train-0", "Failed", exit_codes=(137,)))
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)
    assert server.names(PODS) == ["train-0", "train-1"]
    assert status_of(server)["restarts"] == 1


async def test_a_conflict_leaves_the_work_to_the_next_visit(
    server: ApiServer, reconciler: Reconciler
) -> None:
    server.put(JOBS, raw_job())
    server.faults[("PATCH", "/status")] = [409]
    with pytest.raises(Conflict):
        await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)
    assert server.names(PODS) == ["train-0", "train-1"]


async def test_a_taken_name_does_not_hold_up_the_others(
    server: ApiServer, reconciler: Reconciler
) -> None:
    server.put(JOBS, raw_job())
    foreign = raw_pod("train-0", owner="somebody")
    foreign["metadata"]["labels"] = {}
    server.put(PODS, foreign)
    with pytest.raises(Conflict):
        await reconciler.reconcile(KEY)
    assert server.names(PODS) == ["train-0", "train-1"]


@pytest.mark.parametrize(
    ("change", "made"), [({}, 3), ({"deletionTimestamp": "2030-01-01T12:00:00Z"}, 1)]
)
async def test_a_slow_visit_looks_again_before_it_creates_more(
    server: ApiServer, api: Api, metrics: Metrics, change: dict[str, str], made: int
) -> None:
    readings = iter(range(100))

    def slow_clock() -> float:
        if server.names(PODS):
            server.objects[f"{JOBS}/train"]["metadata"].update(change)
        return next(readings)

    server.put(JOBS, raw_job(nodes=3))
    reconciler = Reconciler(api, metrics, Reporter(api, "test"), clock=slow_clock)
    with pytest.raises(Conflict) if change else contextlib.nullcontext():
        await reconciler.reconcile(KEY)
    assert len(server.names(PODS)) == made


async def test_its_own_write_is_no_news(server: ApiServer, reconciler: Reconciler) -> None:
    before = server.put(JOBS, raw_job())["metadata"]["resourceVersion"]
    await reconciler.reconcile(KEY)
    after = server.objects[f"{JOBS}/train"]["metadata"]["resourceVersion"]
    assert reconciler.knows(KEY, after)
    assert not reconciler.knows(KEY, before)
    server.objects.clear()
    await reconciler.reconcile(KEY)
    assert not reconciler.knows(KEY, after)


async def test_a_write_whose_answer_was_lost_still_counts(
    server: ApiServer, reconciler: Reconciler, metrics: Metrics
) -> None:
    server.put(JOBS, raw_job())
    server.lost_answers.append("PATCH")
    with pytest.raises(Unavailable):
        await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)
    created = "mltrainingjob_jobs_created_total"
    assert metrics.registry.get_sample_value(created, {"namespace": "lab"}) == 1


async def test_a_write_that_was_lost_counts_when_it_is_repeated(
    server: ApiServer, reconciler: Reconciler, metrics: Metrics
) -> None:
    server.put(JOBS, raw_job())
    server.faults[("PATCH", "/status")] = [503]
    with pytest.raises(Unavailable):
        await reconciler.reconcile(KEY)
    assert server.writes() == [("PATCH", f"{JOBS}/train/status")]
    await reconciler.reconcile(KEY)
    created = "mltrainingjob_jobs_created_total"
    assert metrics.registry.get_sample_value(created, {"namespace": "lab"}) == 1


async def test_a_gang_is_let_go_when_there_is_room(
    server: ApiServer, reconciler: Reconciler
) -> None:
    server.put(JOBS, raw_job(policy={"schedulingPolicy": {"minAvailable": 2}}))
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)
    gates = [server.objects[f"{PODS}/train-0"]["spec"].get("schedulingGates")]
    assert gates == [[{"name": GANG_GATE}]]
    node = {"metadata": {"name": "a"}, "status": {"allocatable": {"pods": "9"}}}
    server.put("/api/v1/nodes", node)
    await reconciler.reconcile(KEY)
    for name in ("train-0", "train-1"):
        assert "schedulingGates" not in server.objects[f"{PODS}/{name}"]["spec"]


async def test_the_sweep_wakes_those_with_work_and_counts_the_active(
    server: ApiServer, api: Api, reconciler: Reconciler, metrics: Metrics
) -> None:
    server.put(JOBS, raw_job())
    woken: list[Key] = []
    sweeper = Sweeper(api, metrics, woken.append, lambda: True)
    await sweeper.sweep()
    assert woken == [KEY]
    await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)
    woken.clear()
    await sweeper.sweep()
    assert woken == []
    assert metrics.registry.get_sample_value("mltrainingjob_jobs_active") == 1
