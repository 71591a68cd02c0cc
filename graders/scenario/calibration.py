"""How slow this machine is just now: the factor that stretches every deadline."""

from __future__ import annotations

import uuid

from graders.evidence.recorders import measure
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet, TimedOut, wait_for

NOMINAL_S = 0.2
"""Four times what a pod needs from creation to running on two cores that grade one submission."""

MOST = 4.0

SAMPLES = 3
"""One alone may meet a lucky moment."""


def calibrate(kube: Kube) -> float:
    """Take pods from nothing to Running, and say how much longer than nominal the slowest took; 1 to 4.

    Raises:
        InfraFault: one never ran.
    """
    return max(slowdown(kube) for _ in range(SAMPLES))


def slowdown(kube: Kube) -> float:
    """Take one pod from nothing to Running, and say how much longer than nominal it took; 1 to 4.

    A pod that somebody with the right to it removed meanwhile tells nothing: 1.

    Raises:
        InfraFault: it never ran.
    """
    path = "/api/v1/namespaces/default/pods"
    name = _fresh_name()
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "calibration", "image": "calibration"}]},
    }

    def once() -> None:
        kube.create(path, body)
        wait_for(running, timeout_s=60.0)

    def running() -> None:
        if kube.get(f"{path}/{name}").get("status", {}).get("phase") != "Running":
            raise NotYet("the calibration pod is not running")

    try:
        took = measure(once)
    except ApiRefused:
        return 1.0
    except TimedOut as error:
        raise InfraFault(
            f"{error} after 60 s", fix="look at the machine's load with `kubeproof doctor`"
        ) from error
    finally:
        kube.request("DELETE", f"{path}/{name}", query={"gracePeriodSeconds": 0})
    return round(min(MOST, max(1.0, took / NOMINAL_S)), 2)


def _fresh_name() -> str:
    """Several tracks may measure at once."""
    return f"kubeproof-calibration-{uuid.uuid4().hex[:8]}"
