"""The lane on which the namespace and its CRD are deleted: twice, beside a neighbour."""

from collections.abc import Callable
from functools import partial

from graders.kube.paths import resource_path
from graders.lab3.environment.lane import Lane
from graders.lab3.names import DR_USER, LATE, MODELS_CRD, NAMESPACE_DELETED, RANDOM_PHASE, SERVING
from graders.lab3.tracks.drilling import DrillPlan, drill
from graders.lab3.tracks.phases import anew, await_late, await_random_phase, first_backups
from graders.lab3.tracks.supplied import NO_GOOD, change_live, supplied, written_in_namespace

_NAMESPACE = resource_path("v1", "namespaces", name=SERVING)
_CRD = resource_path("apiextensions.k8s.io/v1", "customresourcedefinitions", name=MODELS_CRD)


def namespace(lane: Lane) -> None:
    """Delete it at a random phase, once more just before the next backup, and with one backup alone."""
    if not first_backups(lane):
        return
    await_random_phase(lane)
    if not _drill(lane, RANDOM_PHASE, await_random_phase) or not anew(lane, await_late):
        return
    if _drill(lane, LATE, await_late) and anew(lane, await_random_phase, change_live):
        begun = partial(written_in_namespace, lane, DR_USER)
        supplied(lane, NAMESPACE_DELETED, lambda: _delete(lane), begun, NO_GOOD)


def _drill(lane: Lane, phase: str, moment: Callable[[Lane], None]) -> bool:
    plan = DrillPlan(NAMESPACE_DELETED, phase, lambda: _delete(lane), again=lambda: anew(lane, moment))
    recovered = drill(lane, plan)
    if lane.neighbour is not None:
        with lane.neighbour.held():
            lane.neighbour.look(f"{phase}: neighbour")
    return recovered


def _delete(lane: Lane) -> None:
    """Both go by and by, and are met terminating."""
    lane.kube.delete(_NAMESPACE)
    lane.kube.delete(_CRD)
