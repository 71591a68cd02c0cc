"""How pods of learners' jobs are drained from their nodes."""

from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.lab1.api import pods_path


def drain(kube: Kube, namespace: str, name: str) -> str:
    """Evict a pod as a drain does; gives why it was deleted instead, "" if it was not.

    An operator may give its jobs PodDisruptionBudgets that let none go, or two for one pod, which the API
    server answers with 429 and 500: whoever has to have the node deletes then. A pod that is gone is fine.

    Raises:
        InfraFault: the API server does not do it for another reason.
    """
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    answer = kube.request("POST", pods_path(namespace, name, "eviction"), body=body)
    if answer.ok or answer.code == 404:
        return ""
    refusal = answer.message
    if "disruption" in refusal.lower():
        answer = kube.request("DELETE", pods_path(namespace, name), query={"gracePeriodSeconds": 1})
        if answer.ok or answer.code == 404:
            return refusal
    raise InfraFault(f"the API server does not take {name} away: {answer.message}")
