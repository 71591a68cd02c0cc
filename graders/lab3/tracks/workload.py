"""The lane on which pods, a zone and controllers are lost, and two faults come that nobody names."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

from graders.faults import InfraFault
from graders.kube.endpoints import ready_addresses
from graders.kube.paths import resource_path
from graders.lab3.environment.lane import Lane
from graders.lab3.environment.workload import DEPLOYMENT, OF_PREDICTOR, SLICES
from graders.lab3.names import CONTROLLER_LOSS, LEFT, NODE_LOSS, POD_KILL, SERVING, UNKNOWN
from graders.lab3.tracks.drilling import DrillPlan, drill
from graders.lab3.tracks.mitigation import mitigation
from graders.lab3.tracks.phases import first_backups
from graders.polling import NotYet, TimedOut, wait_for

PODS = resource_path("v1", "pods", namespace=SERVING)
LOST_ZONE = "zone-a"
"""The zone that is lost; a repetition, before which all pods may have left it, takes the one they are in."""
_BACK_S, _GRANTED_S, _NEWER_S = 20.0, 15.0, 1.5
_WEBHOOK = "kubeproof-fails-closed"
_WEBHOOKS = resource_path("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")


def workload(lane: Lane) -> None:
    """All of it, the gentlest first."""
    first_backups(lane)
    lane.context.live.watches.follow("pods", PODS)
    _survive(lane, POD_KILL, lambda: _kill_half(lane))
    _evict_all(lane)
    _mend(lane)
    _lose_a_zone(lane)
    _mend(lane)
    faults = {
        POD_KILL: (lambda: _kill_half(lane), lambda: None),
        NODE_LOSS: (lambda: _zone_gone(lane), lambda: _zone_back(lane)),
    }
    mitigation(lane, faults)
    _mend(lane)
    both = ("kube-controller-manager", "kube-scheduler")
    _survive(lane, CONTROLLER_LOSS, lambda: _kill(lane, *both))
    stopped = lane.context.dice.choice(("etcd", "kube-scheduler"))
    _unseen(lane, "stopped", f"{stopped} stopped", lambda: _kill(lane, stopped))
    fault = lane.context.dice.choice((_raise_nospace, _fail_closed))
    _unseen(lane, "refused", fault.__name__.strip("_"), lambda: fault(lane))


def _survive(lane: Lane, scenario: str, fault: Callable[[], object]) -> None:
    drill(lane, DrillPlan(scenario, scenario, fault, again=lambda: _mended(lane)))
    _mend(lane)


def _unseen(lane: Lane, phase: str, told: str, fault: Callable[[], object]) -> None:
    plan = DrillPlan(UNKNOWN, phase, fault, before=lambda: {"fault": told}, again=lambda: _mended(lane))
    if not drill(lane, plan):
        _look_at_what_is_left(lane, phase)
    if phase == "stopped":
        _mend(lane)


def _look_at_what_is_left(lane: Lane, phase: str) -> None:
    """Where a runbook gave up: what is lost by then is lost, whatever it says."""
    _start_all(lane)
    with lane.ledger.held():
        lane.ledger_look(f"{phase}: {LEFT}")


def _start_all(lane: Lane) -> None:
    control = lane.context.control
    for name in control.components:
        control.start(name)
    control.wait_ready(60.0)


def predictor_pods(lane: Lane) -> list[dict[str, Any]]:
    """The pods behind the Service that nobody deletes."""
    behind = {
        (endpoint.get("targetRef") or {}).get("uid")
        for each in lane.kube.get(SLICES, **OF_PREDICTOR)["items"]
        for endpoint in each.get("endpoints") or ()
    }
    pods: list[dict[str, Any]] = lane.kube.get(PODS)["items"]
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return [pod for pod in living if pod["metadata"]["uid"] in behind]


def _kill(lane: Lane, *names: str) -> None:
    for name in names:
        lane.context.control.kill(name)


def _kill_half(lane: Lane) -> None:
    pods = predictor_pods(lane)
    chosen = lane.context.dice.sample(pods, (len(pods) + 1) // 2)
    names = [str(pod["metadata"]["name"]) for pod in chosen]
    with ThreadPoolExecutor(len(names) or 1) as pool:
        list(pool.map(lambda name: lane.kube.delete(f"{PODS}/{name}", gracePeriodSeconds=0), names))
    lane.mark("killed", pods=names)


def _evict_all(lane: Lane) -> None:
    """Ask for the eviction of all pods at once, and again until one at least is granted."""
    lane.tell("evictions")
    names = [str(pod["metadata"]["name"]) for pod in predictor_pods(lane)]
    began = lane.now()
    lane.mark("evicting", pods=names)

    def ask(name: str) -> int:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": SERVING},
        }
        return lane.kube.request("POST", f"{PODS}/{name}/eviction", body=body).code

    def granted() -> None:
        with ThreadPoolExecutor(len(names) or 1) as pool:
            codes = list(pool.map(ask, names))
        lane.mark("evictions", codes=codes)
        if 201 not in codes:
            raise NotYet("none is granted")

    try:
        wait_for(granted, timeout_s=_GRANTED_S * lane.context.scale, interval_s=1.0)
    except TimedOut:
        lane.mark("none-granted")
    threading.Event().wait(2.0)
    all_ready_s = _all_ready(lane, 30.0)
    lane.mark("evicted", began=began, all_ready_s=all_ready_s)


def _lose_a_zone(lane: Lane) -> None:
    def again() -> bool:
        _zone_back(lane)
        return _mended(lane)

    drill(lane, DrillPlan(NODE_LOSS, NODE_LOSS, lambda: _zone_gone(lane), again=again))
    _zone_back(lane)
    began = lane.now()
    lane.mark("zone-back", began=began, all_ready_s=_all_ready(lane, _BACK_S))


def _zone_gone(lane: Lane) -> None:
    zone = zone_to_lose({node.name: node.zone for node in lane.context.nodes}, predictor_pods(lane))
    lane.context.control.kill(f"kwok-{zone}")
    nodes = [node.name for node in lane.context.nodes if node.zone == zone]
    lane.prober.dead_nodes = frozenset(nodes)
    lane.mark("zone-gone", zone=zone)


def zone_to_lose(zones: Mapping[str, str], pods: Sequence[Mapping[str, Any]]) -> str:
    """`LOST_ZONE`, unless pods are elsewhere alone; `zones` has the zone of each node."""
    there = {zones.get(str(pod["spec"].get("nodeName", "")), "") for pod in pods}
    return LOST_ZONE if LOST_ZONE in there else next(iter(sorted(there - {""})), LOST_ZONE)


def _zone_back(lane: Lane) -> None:
    for zone in {node.zone for node in lane.context.nodes}:
        lane.context.control.start(f"kwok-{zone}")
    lane.prober.dead_nodes = frozenset()


def _all_ready(lane: Lane, within_s: float) -> float | None:
    """Seconds until as many pods as asked for are ready addresses; None where it took longer."""
    began = lane.now()

    def ready() -> None:
        replicas = int(lane.kube.get(DEPLOYMENT)["spec"]["replicas"])
        there = len(ready_addresses(lane.kube.get(SLICES, **OF_PREDICTOR)))
        if there < replicas:
            raise NotYet(f"{there} of {replicas} are ready")

    try:
        wait_for(ready, timeout_s=within_s * lane.context.scale, interval_s=0.1)
    except TimedOut:
        return None
    return round(lane.now() - began, 3)


def _raise_nospace(lane: Lane) -> None:
    """Have etcd refuse writes as if its disk were full."""
    etcd = lane.context.control.etcd
    with urllib3.PoolManager(
        ca_certs=str(etcd.ca), cert_file=str(etcd.certificate), key_file=str(etcd.key)
    ) as pool:
        url = etcd.endpoints[0]
        status = pool.request("POST", f"{url}/v3/maintenance/status", json={}, timeout=5.0).json()
        member = status["header"]["member_id"]
        alarm = {"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"}
        answer = pool.request("POST", f"{url}/v3/maintenance/alarm", json=alarm, timeout=5.0)
    if answer.status != 200:
        raise InfraFault(f"etcd does not take the alarm: {answer.status}")


def _fail_closed(lane: Lane) -> None:
    """Have pods asked about where nobody answers."""
    hook = {
        "name": "pods.kubeproof.dev",
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
        ],
    }
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": _WEBHOOK},
        "webhooks": [hook],
    }
    lane.kube.create(_WEBHOOKS, body)


def _mended(lane: Lane) -> bool:
    _mend(lane)
    return True


def _mend(lane: Lane) -> None:
    """What a runbook left broken is not the next drill's business."""
    _start_all(lane)
    for manifest in lane.context.manifests:
        lane.kube.apply(manifest.data)
    try:
        wait_for(
            lambda: lane.prober.quiet_for(1.0, since=lane.now() - 30.0),
            timeout_s=60.0 * lane.context.scale,
            interval_s=0.1,
        )
    except TimedOut as mismatch:
        raise InfraFault(f"the cluster does not come to rest: {mismatch}") from mismatch
    lane.next_ledger()
    lane.schedule.go()
    if lane.schedule.backups.sealed:
        lane.await_backups(len(lane.schedule.backups.sealed) + 1)
        # So that whoever goes back to that backup loses something.
        lane.wait_until(lane.now() + _NEWER_S)
