"""The lane on which the namespace and its CRD are deleted: twice, beside a neighbour."""

from __future__ import annotations

from graders.kube.paths import resource_path
from graders.lab3.names import DR_USER, LATE, MODELS_CRD, NAMESPACE_DELETED, RANDOM_PHASE, SERVING
from graders.lab3.tracks.phases import await_late, await_random_phase, first_backups, more_backups
from graders.lab3.tracks.supplied import after, supplied, written_in_namespace
from graders.lab3.world.lane import Lane

_NAMESPACE = resource_path("v1", "namespaces", name=SERVING)
_CRD = resource_path("apiextensions.k8s.io/v1", "customresourcedefinitions", name=MODELS_CRD)


def namespace(lane: Lane) -> None:
    """Delete it at a random phase, and once more just before the next backup."""
    if not first_backups(lane):
        return
    await_random_phase(lane)
    recovered = lane.drill(NAMESPACE_DELETED, RANDOM_PHASE, lambda: _delete(lane))
    _look_at_the_neighbour(lane, RANDOM_PHASE)
    if not recovered:
        return
    lane.next_ledger()
    if not more_backups(lane):
        return
    await_late(lane)
    recovered = lane.drill(NAMESPACE_DELETED, LATE, lambda: _delete(lane))
    _look_at_the_neighbour(lane, LATE)
    if not recovered:
        return
    lane.next_ledger()
    if more_backups(lane):
        await_random_phase(lane)
        begun = after(written_in_namespace(lane, DR_USER))
        supplied(lane, NAMESPACE_DELETED, lambda: _delete(lane), begun, bad=False)


def _delete(lane: Lane) -> None:
    """Both go by and by, and are met terminating."""
    lane.kube.delete(_NAMESPACE)
    lane.kube.delete(_CRD)


def _look_at_the_neighbour(lane: Lane, phase: str) -> None:
    if lane.neighbour is not None:
        with lane.neighbour.held():
            lane.neighbour.look(f"{phase}: neighbour")
