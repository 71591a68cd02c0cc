"""A pod template that sets much of what one can, and what of a template is missing in a pod; pure."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graders.lab1.api import JOB_NAME, QUEUE, REPLICA_INDEX, container

OPERATORS_OWN = frozenset({"restartPolicy", "hostname", "subdomain", "schedulingGates"})
"""What the operator sets over the pod spec of the template."""

VARIABLES = ("PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT")
"""The variables that the operator sets in every container."""


def varied_template() -> dict[str, Any]:
    """A template with what the pods have to be given unchanged, and no other criterion asks for.

    Placement, priority, and what policies are about have criteria of their own.
    """
    return {
        "metadata": {
            "labels": {"team": "research", QUEUE: "research", JOB_NAME: "other", REPLICA_INDEX: "99"},
            "annotations": {"example.com/data-set": "digits", "example.com/note": ""},
        },
        "spec": {
            "initContainers": [container("fetch", {"SOURCE": "digits", "PET_NODE_RANK": "99"})],
            "containers": [_trainer(), container("sidecar", {"ROLE": "sidecar"})],
            "restartPolicy": "OnFailure",
            "hostname": "other",
            "subdomain": "others",
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
            "terminationGracePeriodSeconds": 7,
            "enableServiceLinks": False,
            "shareProcessNamespace": True,
            "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["data.example.com"]}],
            "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        },
    }


def _trainer() -> dict[str, Any]:
    own = container("trainer", {"PET_NNODES": "99", "LEARNING_RATE": "0.1"})
    settings = {"name": "settings", "key": "epochs", "optional": True}
    own["env"] += [
        {"name": "VERBOSE"},
        {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "EPOCHS", "valueFrom": {"configMapKeyRef": settings}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "RANK_OF_ALL", "value": "$(PET_NODE_RANK)/$(PET_NNODES)"},
    ]
    return own | {
        "args": ["--epochs", "$(EPOCHS)"],
        "workingDir": "/work",
        "envFrom": [{"configMapRef": {"name": "settings", "optional": True}}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "ports": [{"name": "rendezvous", "containerPort": 29400}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "lifecycle": {"preStop": {"exec": {"command": ["python", "save.py"]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def lost(template: Mapping[str, Any], pod: Mapping[str, Any], *, aside: Collection[str] = ()) -> list[str]:
    """What the template sets and the pod does not have, in words; the pod may have more.

    Fields and variables that the operator sets itself are passed over, and the fields in `aside`.
    """
    parts: list[tuple[tuple[str, ...], Any, Any]] = [(("spec",), template.get("spec"), pod.get("spec"))]
    for field in ("labels", "annotations"):
        wanted, made = ((each.get("metadata") or {}).get(field) or {} for each in (template, pod))
        theirs = {key: value for key, value in wanted.items() if key not in (JOB_NAME, REPLICA_INDEX)}
        parts.append((("metadata", field), theirs, made))
    return [
        words
        for path, wanted, made in parts
        for words in _lost(wanted, made, path, OPERATORS_OWN | frozenset(aside))
    ]


def _lost(wanted: Any, made: Any, path: tuple[str, ...], aside: frozenset[str]) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(made, Mapping):
        for key, value in wanted.items():
            if key not in aside or path[:1] == ("metadata",):
                yield from _lost(value, made.get(key), (*path, key), aside)
    elif _named(wanted) and isinstance(made, list):
        others = {each.get("name"): each for each in made if isinstance(each, Mapping)}
        variables = path[-1] == "env"
        for each in wanted:
            if not (variables and each["name"] in VARIABLES):
                place = (*path[:-1], f"{path[-1]}[{each['name']}]")
                yield from _lost(each, others.get(each["name"]), place, aside)
    elif wanted != made:
        where = ".".join(path[1:] if path[0] == "spec" else path)
        yield f"{where} is {shown(made)} and not {shown(wanted)}"


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) and "name" in each for each in value)


def shown(value: Any) -> str:
    """A value of a manifest in words of bounded length."""
    return json.dumps(value)[:120]
