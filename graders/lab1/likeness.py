"""Whether a pod in place of another is made like it; pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from graders.evidence.records import Object
from graders.evidence.timeline import ObjectHistory
from graders.lab1.api import JOB_NAME, REPLICA_INDEX
from graders.lab1.template import VARIABLES, shown

_ASIDE = frozenset({"nodeName", "preemptionPolicy", "priority", "schedulingGates", "tolerations", "volumes"})
"""What a place, a moment or an admission decides."""

_ELSEWHERE = frozenset({"securityContext", "volumeMounts"})
"""What another criterion judges, and what the API server adds to a container."""


def unlike(before: ObjectHistory, after: ObjectHistory) -> list[str]:
    """In what a pod differs from the one it replaces, in words: the job's labels and variables, owner, spec.

    Labels, annotations and variables of the operator's own may tell the attempts apart.
    """
    return list(_unlike(_made(before.first), _made(after.first), ""))


def _made(pod: Object) -> dict[str, Any]:
    metadata, spec = pod["metadata"], pod["spec"]
    labels = metadata.get("labels") or {}
    return {
        "labels": {key: labels.get(key) for key in (JOB_NAME, REPLICA_INDEX)},
        "owners": [owner.get("uid") for owner in metadata.get("ownerReferences") or ()],
        **{key: value for key, value in spec.items() if key not in _ASIDE},
    }


def _unlike(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            if key not in _ELSEWHERE:
                old, new = before.get(key), after.get(key)
                if key == "env":
                    old, new = _variables(old), _variables(new)
                yield from _unlike(old, new, f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for nth, (old, new) in enumerate(zip(before, after, strict=True)):
            name = old.get("name", nth) if isinstance(old, Mapping) else nth
            yield from _unlike(old, new, f"{path}[{name}]")
    elif before != after:
        yield f"{path} is {shown(after)} and was {shown(before)}"


def _variables(env: Any) -> dict[str, Any]:
    entries = env if isinstance(env, list) else []
    return {each["name"]: each.get("value") for each in entries if each.get("name") in VARIABLES}
