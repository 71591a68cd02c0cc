"""What became of a Job's pods, in words; pure."""

from collections.abc import Mapping
from typing import Any

from graders.documents.wording import printable

_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_BACKING_OFF = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RegistryUnavailable",
    }
)
_INDEX = "batch.kubernetes.io/job-completion-index"
_MOST = 300


def indexes(text: str) -> list[int]:
    """The indexes that a Job's status lists, such as `0,3-5`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def index_of(pod: Mapping[str, Any]) -> int:
    """The index whose work a pod does; -1 where it says none."""
    text = str(pod["metadata"].get("annotations", {}).get(_INDEX, ""))
    return int(text) if text.isdecimal() else -1


def cannot_start(pod: Mapping[str, Any]) -> tuple[str, bool]:
    """Why a pod cannot start, and whether it never will; an empty text where nothing says so."""
    for status in pod.get("status", {}).get("containerStatuses", ()):
        waiting = status.get("state", {}).get("waiting") or {}
        reason = str(waiting.get("reason", ""))
        if reason in _NEVER or reason in _BACKING_OFF:
            return f"{reason}: {_short(waiting.get('message', ''))}".rstrip(": "), reason in _NEVER
    if node := _not_set_up_by(pod):
        return f"node {node} has not set it up yet (kubectl describe pod {pod['metadata']['name']})", False
    return "", False


def _not_set_up_by(pod: Mapping[str, Any]) -> str:
    """The node that a pod waits for to have namespaces and volumes: its image is pulled only after that."""
    status = pod.get("status", {})
    waits = any(
        one.get("type") == "PodReadyToStartContainers" and one.get("status") == "False"
        for one in status.get("conditions", ())
    )
    return str(pod["spec"].get("nodeName", "")) if waits and status.get("phase") == "Pending" else ""


def waits_for(pod: Mapping[str, Any]) -> str:
    """Why a pod has no node yet, as the scheduler says; empty where it has one."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _short(condition.get("message", ""))
    return ""


def held_by_dead_node(pod: Mapping[str, Any]) -> str:
    """The node whose kubelet does not say that a pod, which is to go, has gone; empty where there is none."""
    status, metadata = pod.get("status", {}), pod["metadata"]
    reasons = {
        one.get("reason") for one in status.get("conditions", ()) if one.get("type") == "DisruptionTarget"
    }
    lost = status.get("reason") == "NodeLost" or "DeletionByTaintManager" in reasons
    leaving = metadata.get("deletionTimestamp") and status.get("phase") not in ("Failed", "Succeeded")
    return str(pod.get("spec", {}).get("nodeName", "")) if leaving and lost else ""


def why_failed(pod: Mapping[str, Any]) -> str:
    """Why a pod failed, in a sentence for staff."""
    status = pod.get("status", {})
    limit = _limit(pod)
    for one in status.get("containerStatuses", ()):
        ended = one.get("state", {}).get("terminated")
        if not ended:
            continue
        said = _short(ended.get("message", ""))
        if ended.get("reason") == "OOMKilled":
            return f"its pod ran out of memory (limit {limit}); give more with --memory"
        if status.get("reason") == "DeadlineExceeded":
            return "its pod did not end in time"
        return f"its pod ended with {ended.get('exitCode')}" + (f": {said}" if said else "")
    reason = _short(status.get("reason", "")) or "Failed"
    said = _short(status.get("message", ""))
    return f"its pod failed ({reason})" + (f": {said}" if said else "")


def _limit(pod: Mapping[str, Any]) -> str:
    containers = pod.get("spec", {}).get("containers") or [{}]
    return str(containers[0].get("resources", {}).get("limits", {}).get("memory", "unknown"))


def _short(text: object) -> str:
    """The end of what somebody said, in a line: errors come last."""
    line = " ".join(printable(str(text)).split())
    return line if len(line) <= _MOST else "..." + line[-_MOST:]
