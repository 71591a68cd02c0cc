"""Tries a mitigation of the backlog: the fault that it is for, without it and with it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from graders.documents import load_document, parse
from graders.faults import BadSubmission, InfraFault
from graders.lab3.documents.backlog import BacklogItem, MitigationBacklog
from graders.lab3.environment.lane import Lane
from graders.lab3.environment.workload import DEPLOYMENT
from graders.lab3.names import BACKLOG, MITIGABLE, MITIGATED
from graders.lab3.tracks.drilling import DrillPlan, drill
from graders.polling import NotYet, TimedOut, wait_for
from graders.submissions.manifests import Manifest, load_manifests

CUT_S = 30.0
"""For how long it is watched; what is not over by then is over later than that."""
_ROLLED_OUT_S = 60.0


def mitigation(lane: Lane, faults: dict[str, tuple[Callable[[], None], Callable[[], None]]]) -> None:
    """Try the first that is done and can be verified by such a fault; `faults` has each and how it ends."""
    environment = lane.context.environment
    root = environment.submission
    try:
        item = _first(root)
    except BadSubmission as error:
        lane.mark("mitigation", problem=str(error))
        return
    if item is None:
        lane.mark(
            "mitigation", problem=f"no item of {BACKLOG} is done and verified by {' or '.join(MITIGABLE)}"
        )
        return
    scenario = next(name for kind, name in item.verify_by.named if kind == "scenario")
    fault, over = faults[scenario]
    others: list[str] = []
    for part in MITIGATED:
        lane.tell(f"mitigation {item.id}, {part}")
        try:
            manifests = load_manifests(root, (f"{item.mitigation}/{part}",), kubectl=environment.kubectl)
        except (BadSubmission, OSError) as error:
            lane.mark("mitigation", problem=str(error))
            return
        if problem := _apply(lane, manifests):
            lane.mark("mitigation", problem=problem)
            return
        there = [each.data for each in lane.context.manifests]
        others = [f"{each.file}:{each.line}" for each in manifests if each.data not in there]
        drill(
            lane,
            DrillPlan(scenario, f"mitigation-{part}", fault, again=lambda: _over(lane, over), cut_s=CUT_S),
        )
        over()
        _rolled_out(lane)
    to = str(item.expected.after)
    lane.mark("mitigation", problem="", item=item.id, scenario=scenario, to=to, others=others)


def _over(lane: Lane, over: Callable[[], None]) -> bool:
    over()
    _rolled_out(lane)
    return True


def _first(root: Path) -> BacklogItem | None:
    items = parse(load_document(root / BACKLOG, shown_as=BACKLOG), MitigationBacklog).items
    for item in items:
        named = [name for kind, name in item.verify_by.named if kind == "scenario"]
        if item.status == "done" and item.mitigation and named and named[0] in MITIGABLE:
            return item
    return None


def _apply(lane: Lane, manifests: Sequence[Manifest]) -> str:
    """Apply manifests, and wait until the predictor is as they say; why that cannot be."""
    for manifest in manifests:
        answer = lane.kube.apply(manifest.data)
        if not answer.ok:
            return f"{manifest.file}:{manifest.line}: the API server refuses it: {answer.message}"
    try:
        _rolled_out(lane)
    except InfraFault as error:
        return f"{manifests[0].file}: {error.problem}"
    return ""


def _rolled_out(lane: Lane) -> None:
    def probe() -> None:
        found = lane.kube.get(DEPLOYMENT)
        status, wanted = found.get("status", {}), int(found["spec"]["replicas"])
        counts = [int(status.get(name, 0)) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        if status.get("observedGeneration") != found["metadata"]["generation"] or counts != [wanted] * 3:
            raise NotYet(f"{counts} of {wanted} replicas are there, new and available")

    try:
        wait_for(probe, timeout_s=_ROLLED_OUT_S * lane.context.scale, interval_s=0.1)
    except TimedOut as mismatch:
        raise InfraFault(f"the predictor does not roll out: {mismatch}") from mismatch
