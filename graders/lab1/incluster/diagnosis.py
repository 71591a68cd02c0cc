"""What is wrong with a pod or a Deployment, in words, from its status; pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from graders.evidence.records import Object

_LONGEST = 300


def pod_state(pod: Object) -> str:
    """What a pod is doing, and why it does not run if it does not."""
    status = _mapping(pod.get("status"))
    problems = [text for each in _containers(status) if (text := _container_problem(each))]
    problems = problems or _condition_problems(status)
    phase = str(status.get("phase") or "Pending")
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in _conditions(pod))
    word = "Ready" if ready else phase if phase != "Running" else "Running, not Ready"
    return f"{word} ({'; '.join(problems)})"[:_LONGEST] if problems else word


def deployment_state(deployment: Object, pods: Mapping[str, Object]) -> str:
    """How far a Deployment is, with what its pods say."""
    status = _mapping(deployment.get("status"))
    wanted = _mapping(deployment.get("spec")).get("replicas", 1)
    words = [f"{status.get('availableReplicas') or 0} of {wanted} pods available"]
    words += [f"{name}: {pod_state(pod)}" for name, pod in sorted(pods.items())]
    if not pods:
        words += [
            str(condition.get("message"))[:_LONGEST]
            for condition in _conditions(deployment)
            if condition.get("type") == "ReplicaFailure" and condition.get("message")
        ]
    return "; ".join(words)


def exit_codes(pod: Object) -> list[int]:
    """With what codes the containers of a pod ended, as the kubelet says."""
    found = []
    for each in _every(pod):
        code = _mapping(_mapping(each.get("state")).get("terminated")).get("exitCode")
        if isinstance(code, int):
            found.append(code)
    return found


def reasons(pod: Object) -> list[str]:
    """Why the containers of a pod ended, as the kubelet says: `Completed`, `Error`, `OOMKilled`."""
    ended = (_mapping(_mapping(each.get("state")).get("terminated")) for each in _every(pod))
    return [str(each["reason"]) for each in ended if each.get("reason")]


def users_of(pod: Object) -> list[int]:
    """As whom the containers of a pod really run, where the kubelet says so."""
    found = (_mapping(_mapping(each.get("user")).get("linux")).get("uid") for each in _every(pod))
    return [uid for uid in found if isinstance(uid, int)]


def _container_problem(container: Mapping[str, Any]) -> str:
    state, last = _mapping(container.get("state")), _mapping(container.get("lastState"))
    words = []
    waiting, ended = _mapping(state.get("waiting")), _mapping(state.get("terminated"))
    if waiting.get("reason") and waiting["reason"] != "ContainerCreating":
        message = str(waiting.get("message") or "")
        words.append(f"{waiting['reason']}: {message}" if message else str(waiting["reason"]))
    for each in (ended, _mapping(last.get("terminated"))):
        if each:
            words.append(
                f"ended with code {each.get('exitCode')} ({each.get('reason') or 'no reason given'})"
            )
    restarts = int(container.get("restartCount") or 0)
    if restarts:
        words.append(f"restarted {restarts} times" if restarts > 1 else "restarted once")
    return f"container {container.get('name')}: {', '.join(words)}" if words else ""


def _condition_problems(status: Mapping[str, Any]) -> list[str]:
    return [
        str(condition["message"])[:_LONGEST]
        for condition in _listed(status.get("conditions"))
        if condition.get("type") in ("PodScheduled", "Ready")
        and condition.get("status") == "False"
        and condition.get("message")
    ]


def _every(pod: Object) -> Iterable[Mapping[str, Any]]:
    return _containers(_mapping(pod.get("status")))


def _containers(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from _listed(status.get("initContainerStatuses"))
    yield from _listed(status.get("containerStatuses"))


def _conditions(item: Object) -> Iterable[Mapping[str, Any]]:
    return _listed(_mapping(item.get("status")).get("conditions"))


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
