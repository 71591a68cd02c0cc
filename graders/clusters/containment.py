"""Keeps learners' pods in their place on clusters with real nodes; the API server and the network do it.

What the guards forbid is forbidden to everybody but the cluster's own parts. They are no security boundary:
pods share the kernel with everything else, and whoever finds a way around them is on the machine.
"""

from pathlib import Path
from typing import Any

from graders.documents import load_documents
from graders.faults import CourseError, InfraFault
from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for

_CONFIG = Path(__file__).parent / "config"
GUARDS, BESIDE_SIMULATED = _CONFIG / "containment.yaml", _CONFIG / "containment-simulated.yaml"

NAME = "kubeproof-containment"
"""Of the policy, and what the names of all guards in a namespace begin with."""

_IN_FORCE_WITHIN_S = 60.0

CAUTION = (
    "pods of this submission ran in containers that share the kernel with the machine: kind is no security "
    "boundary; strangers' code belongs on the embedded provider, or on machines to throw away"
)
"""What a report says where learners' pods are real."""


def guard_manifests(*, simulated: bool = False) -> list[dict[str, Any]]:
    """The policies that hold for the whole cluster, and their bindings; the one that is tried last.

    The API server learns of policies, and of bindings, in the order of their writing, and puts in force at
    once what it knows: where the last policy and its binding hold, so does all that was written before.
    """
    files = (BESIDE_SIMULATED, GUARDS) if simulated else (GUARDS,)
    return [
        document.data
        for file in files
        for document in load_documents(
            file, shown_as=f"graders/clusters/config/{file.name}", error=CourseError
        )
    ]


def forbid_escapes(kube: Kube, *, simulated: bool = False) -> None:
    """Put the guards of the whole cluster in force.

    With `simulated` nodes in it, learners' pods are kept off the real ones too: none of them really runs.

    Raises:
        InfraFault: the API server does not take them, or does not act on them.
    """
    for manifest in guard_manifests(simulated=simulated):
        answer = kube.apply(manifest)
        if not answer.ok:
            raise InfraFault(f"the API server does not take {manifest['metadata']['name']}: {answer.message}")
    try:
        wait_for(lambda: _refuses(kube), timeout_s=_IN_FORCE_WITHIN_S, interval_s=0.3)
    except TimedOut as error:
        raise InfraFault(f"the guards against escapes: {error} after {_IN_FORCE_WITHIN_S:g} s") from error


def _refuses(kube: Kube) -> None:
    """See a pod refused that would see the machine's processes; it could never have run."""
    path = resource_path("v1", "pods", namespace="default")
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{NAME}-"},
        "spec": {
            "hostPID": True,
            "schedulingGates": [{"name": "kubeproof.dev/never"}],
            "automountServiceAccountToken": False,
            "containers": [{"name": "canary", "image": "canary"}],
        },
    }
    answer = kube.request("POST", path, body=body)
    if answer.ok:
        kube.delete(f"{path}/{answer.body['metadata']['name']}", gracePeriodSeconds=0)
    if answer.ok or NAME not in answer.message:
        raise NotYet("not yet in force" if answer.ok else answer.message)
