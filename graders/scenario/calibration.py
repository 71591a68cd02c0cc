"""How slow this machine is just now: the factor that stretches every deadline."""

import uuid

from graders.evidence.recording import measure
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for

NOMINAL_S = 0.2
"""Four times what a pod needs from creation to running on two cores that grade one submission."""

MOST = 4.0

SAMPLES = 3
"""One alone may meet a lucky moment."""


def calibrate(kube: Kube, namespace: str) -> float:
    """Take pods from nothing to Running, and say how much longer than nominal the slowest took; 1 to 4.

    `namespace` is the grader's own.

    Raises:
        InfraFault: one never ran.
    """
    try:
        return max(_factor(_start_pod(kube, namespace, within_s=60.0)) for _ in range(SAMPLES))
    except TimedOut as error:
        raise InfraFault(
            f"{error} after 60 s", fix="look at the machine's load with `kubeproof doctor`"
        ) from error


def slowdown(kube: Kube, namespace: str) -> float:
    """Take one pod from nothing to Running, and say how much longer than nominal it took; 1 to 4.

    A pod that somebody with the right to it removed meanwhile tells nothing: 1. One that does not run
    is no fault here: an operator may have swamped the scheduler, and the most is all it gains.
    """
    try:
        return _factor(_start_pod(kube, namespace, within_s=MOST * NOMINAL_S))
    except ApiRefused:
        return 1.0
    except TimedOut:
        return MOST


def _factor(took_s: float) -> float:
    return round(min(MOST, max(1.0, took_s / NOMINAL_S)), 2)


def _start_pod(kube: Kube, namespace: str, within_s: float) -> float:
    """Seconds a pod takes to run; raises `TimedOut`, and `ApiRefused` where it is refused or removed."""
    path = resource_path("v1", "pods", namespace=namespace)
    name = _fresh_name()
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "calibration", "image": "calibration"}]},
    }

    def once() -> None:
        kube.create(path, body)
        wait_for(running, timeout_s=within_s)

    def running() -> None:
        if kube.get(f"{path}/{name}").get("status", {}).get("phase") != "Running":
            raise NotYet("the calibration pod is not running")

    try:
        return measure(once)
    finally:
        kube.request("DELETE", f"{path}/{name}", query={"gracePeriodSeconds": 0})


def _fresh_name() -> str:
    """Several tracks may measure at once."""
    return f"kubeproof-calibration-{uuid.uuid4().hex[:8]}"
