"""The lane on which etcd and the API server are lost, data and all: twice, and what is tried beside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graders.clusters.etcdrevisions import move_ahead
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab3.environment.lane import Lane
from graders.lab3.names import (
    CONTROL_PLANE_LOSS,
    LATE,
    PREDICTOR,
    RANDOM_PHASE,
    SERVING,
)
from graders.lab3.tracks.clientview import CONFIG_MAPS, look_as_a_client
from graders.lab3.tracks.drilling import DrillPlan, drill
from graders.lab3.tracks.phases import (
    anew,
    await_late,
    await_random_phase,
    first_backups,
    more_backups,
)
from graders.lab3.tracks.supplied import NEWEST_FORGED, NO_GOOD, change_live, supplied
from graders.polling import NotYet, TimedOut, wait_for

REVISIONS = 3000
_MOVE_S, _MOST_MOVES = 3.0, 3


def control_plane(lane: Lane) -> None:
    """Lose it at a random phase; restore once more; try verify; lose it late; supply one backup alone."""
    if not first_backups(lane):
        return
    await_random_phase(lane)
    plan = DrillPlan(
        CONTROL_PLANE_LOSS, RANDOM_PHASE, lambda: _lose(lane), again=lambda: anew(lane, await_random_phase)
    )
    if not drill(lane, plan):
        return
    _restore_again(lane)
    _try_verify(lane)
    if not more_backups(lane):
        return
    _far_and_late(lane)
    seen: dict[str, object] = {}

    def before() -> dict[str, object]:
        seen["listed"] = str(lane.kube.get(CONFIG_MAPS, limit=1)["metadata"]["resourceVersion"])
        return dict(seen)

    late = DrillPlan(
        CONTROL_PLANE_LOSS,
        LATE,
        lambda: _lose(lane),
        before=before,
        recovered=lambda: look_as_a_client(lane, str(seen["listed"])),
        again=lambda: anew(lane, _far_and_late),
    )
    if drill(lane, late) and anew(lane, await_random_phase, change_live):
        bad = (*NO_GOOD, NEWEST_FORGED)
        supplied(lane, CONTROL_PLANE_LOSS, lambda: _lose(lane), lane.scripts.has_replaced_data, bad)


def _far_and_late(lane: Lane) -> None:
    """Wait until just before the next backup, the revision far ahead of the newest one."""
    lane.take_turn()
    for _ in range(_MOST_MOVES):
        # A backup that begins meanwhile knows of the move: then a revision that goes back shows nowhere.
        if not lane.schedule.idle or lane.schedule.next_due - lane.now() < _MOVE_S:
            lane.await_backups(len(lane.schedule.backups.sealed) + 1)
        due = lane.schedule.next_due
        move_ahead(lane.context.control.etcd, REVISIONS)
        if lane.schedule.next_due == due:
            break
    await_late(lane)


def _lose(lane: Lane) -> None:
    """Kill the API server and etcd, and remove etcd's data; all others run on."""
    control = lane.context.control
    control.kill("kube-apiserver")
    control.kill("etcd")
    control.wipe("etcd")


def _restore_again(lane: Lane) -> None:
    """Once more on the recovered cluster, while records are written."""
    lane.tell("restore once more")
    lane.next_ledger()
    began = lane.now()
    target = lane.context.wanted.target(CONTROL_PLANE_LOSS)
    ended = lane.restore(CONTROL_PLANE_LOSS, "again", (target.rto_s + 30.0) * lane.context.scale)
    with lane.ledger.held():
        lane.ledger_look("again")
    lane.mark("restored-again", began=began, ended=lane.now(), code=ended.code, ledger=lane.ledger.name)
    lane.next_ledger()


def _try_verify(lane: Lane) -> None:
    """Four things amiss, each alone: a Model gone, a Secret or a ConfigMap changed, the predictor at 0."""
    there = (each for each in lane.context.manifests if each.data["metadata"].get("namespace") == SERVING)
    manifests = {each.kind: each for each in there}
    for purpose, kind, broken in (
        ("model-gone", "Model", _without),
        ("secret-changed", "Secret", _changed),
        ("config-changed", "ConfigMap", _changed),
        ("scaled-to-zero", "Deployment", _at_zero),
    ):
        lane.tell(f"verify: {purpose}")
        if kind not in manifests:
            lane.mark("nothing-to-break", purpose=purpose)
            continue
        deployment = resource_path("apps/v1", "deployments", namespace=SERVING, name=PREDICTOR)
        path = deployment if kind == "Deployment" else lane.kube.path_for(manifests[kind].data)
        with broken(lane, path):
            lane.verify(purpose)


@contextmanager
def _without(lane: Lane, path: str) -> Iterator[None]:
    """The object at `path` is gone while the block runs."""
    was = lane.kube.get(path)
    lane.kube.delete(path)
    yield
    kept = {key: was["metadata"][key] for key in ("name", "labels") if key in was["metadata"]}
    body = {**{key: value for key, value in was.items() if key != "status"}, "metadata": kept}
    answer = lane.kube.request("POST", path.rpartition("/")[0], body=body)
    # A verify that makes it again is wrong, and judged by its exit code.
    if not answer.ok and answer.code != 409:
        raise ApiRefused("POST", path, answer)


@contextmanager
def _changed(lane: Lane, path: str) -> Iterator[None]:
    """The Secret or ConfigMap at `path` has other data while the block runs."""
    was = lane.kube.get(path).get("data") or {}
    key = next(iter(was), "token")
    lane.kube.patch(path, {"data": {key: "Y2hhbmdlZA=="}})
    yield
    lane.kube.patch(path, {"data": {key: was.get(key)}})


@contextmanager
def _at_zero(lane: Lane, path: str) -> Iterator[None]:
    """The Deployment at `path` has no pods while the block runs."""
    replicas = int(lane.kube.get(path)["spec"]["replicas"])
    lane.kube.patch(path, {"spec": {"replicas": 0}})
    _until(lambda: _scaled(lane, path, 0), 10.0 * lane.context.scale)
    yield
    lane.kube.patch(path, {"spec": {"replicas": replicas}})
    _until(lambda: _scaled(lane, path, replicas), 30.0 * lane.context.scale)


def _scaled(lane: Lane, path: str, replicas: int) -> None:
    ready = int(lane.kube.get(path).get("status", {}).get("readyReplicas", 0))
    if ready != replicas:
        raise NotYet(f"{ready} of {replicas} replicas are ready")


def _until(probe: Any, timeout_s: float) -> None:
    try:
        wait_for(probe, timeout_s=timeout_s, interval_s=0.1)
    except TimedOut as mismatch:
        raise InfraFault(f"what was broken to try verify did not mend: {mismatch}") from mismatch
