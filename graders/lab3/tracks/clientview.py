"""What a client sees that lived through a loss of the control plane: its list, its watch, its controllers."""

import threading
import time
from secrets import token_hex
from typing import Any

from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab3.environment.lane import Lane
from graders.lab3.names import CANARIES, PROBE_LABEL, SERVING
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.steadystate import canary

CONFIG_MAPS = resource_path("v1", "configmaps", namespace=SERVING)
_OWN_CONFIG_MAPS = resource_path("v1", "configmaps", namespace=CANARIES)
_DEPLOYMENTS = resource_path("apps/v1", "deployments", namespace=CANARIES)
_WATCH_S, _DEPLOYMENT_S, _GARBAGE_S = 5.0, 5.0, 10.0


def look_as_a_client(lane: Lane, listed: str) -> None:
    """What a client sees that lived through the loss: its list, its watch, and what controllers do."""
    scale = lane.context.scale
    # A restore brings back what an attempt before this one has made.
    own = token_hex(3)
    try:
        after = str(lane.kube.get(CONFIG_MAPS, limit=1)["metadata"]["resourceVersion"])
        watch = _resumed(lane, f"probe-resumed-{own}", listed, _WATCH_S * scale)
        deployment_s = _deployment(lane, f"client-{own}", 3 * _DEPLOYMENT_S * scale)
        garbage_s = _garbage(lane, f"client-{own}", 2 * _GARBAGE_S * scale)
    except (InfraFault, ApiRefused) as error:
        lane.mark("client", problem=str(error))
        return
    lane.mark(
        "client", problem="", listed=int(listed), after=int(after), watch=watch,
        deployment_s=deployment_s, garbage_s=garbage_s,
    )  # fmt: skip


def _resumed(lane: Lane, name: str, version: str, within_s: float) -> str:
    """What a watch resumed at `version` is told: `gone` (410), `write`, or nothing: `silent`."""
    told = threading.Event()
    found = ["silent"]

    def watch() -> None:
        try:
            for event in lane.kube.watch(CONFIG_MAPS, version, idle_s=within_s):
                item = event.get("object") or {}
                if event.get("type") == "ERROR":
                    found[0] = "gone" if item.get("code") == 410 else f"error {item.get('code')}"
                    break
                if (item.get("metadata") or {}).get("name") == name:
                    found[0] = "write"
                    break
        except ApiRefused as error:
            found[0] = "gone" if error.answer.code == 410 else f"refused {error.answer.code}"
        except InfraFault:
            return
        told.set()

    threading.Thread(target=watch, name="resumed watch", daemon=True).start()
    # The watch should be open before there is news.
    told.wait(0.5)
    body = {"metadata": {"name": name, "labels": {PROBE_LABEL: "watch"}}, "data": {"at": str(time.time())}}
    if not told.is_set():
        lane.kube.create(CONFIG_MAPS, body)
        told.wait(within_s)
    return found[0]


def _deployment(lane: Lane, name: str, within_s: float) -> float | None:
    """Seconds until a new Deployment is ready; None: not in time."""
    began = lane.now()
    lane.kube.create(_DEPLOYMENTS, canary(name))

    def ready() -> None:
        if not lane.kube.get(f"{_DEPLOYMENTS}/{name}").get("status", {}).get("readyReplicas"):
            raise NotYet("it is not ready")

    return _took(lane, ready, began, within_s)


def _garbage(lane: Lane, name: str, within_s: float) -> float | None:
    """Seconds until what a deleted owner owned is gone; None: not in time."""
    owner = lane.kube.create(_OWN_CONFIG_MAPS, {"metadata": {"name": name}})
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": owner["metadata"]["uid"],
    }
    body = {"metadata": {"name": f"{name}-owned", "ownerReferences": [reference]}}
    lane.kube.create(_OWN_CONFIG_MAPS, body)
    began = lane.now()
    lane.kube.delete(f"{_OWN_CONFIG_MAPS}/{name}")

    def gone() -> None:
        if lane.kube.find(f"{_OWN_CONFIG_MAPS}/{name}-owned") is not None:
            raise NotYet("it is still there")

    return _took(lane, gone, began, within_s)


def _took(lane: Lane, probe: Any, began: float, within_s: float) -> float | None:
    try:
        wait_for(probe, timeout_s=within_s, interval_s=0.05)
    except TimedOut:
        return None
    return round(lane.now() - began, 3)
