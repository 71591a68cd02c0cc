"""Short records of one track of lab 1, told event by event, for checks that need no whole recording."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.records import AuditEvent, Mark, WatchEvent
from graders.judging import Facts
from graders.lab1.api import API_VERSION, JOB_NAME, KIND, PLURAL, REPLICA_INDEX
from tests.unit.synthetic_bundle import OPERATOR, make_manifest

Object = dict[str, Any]
Told = Mark | AuditEvent | WatchEvent


class Telling:
    """What happened in one track; times are seconds of the run."""

    def __init__(self, track: str, **parts: str) -> None:
        """`parts` names further namespaces of the track."""
        self.track = track
        self.spaces = {"": "here", **parts}
        self.told: list[Told] = []
        for part, space in self.spaces.items():
            self.mark(0.1, "namespace", namespace=space, part=part)

    def mark(self, t: float, name: str, **data: Any) -> None:
        """The track did or reached something."""
        self.told.append(Mark(t, self.track, name, data))

    def write(
        self,
        t: float,
        verb: str,
        resource: str,
        name: str,
        *,
        code: int = 200,
        user: str = OPERATOR,
        **more: Any,
    ) -> None:
        """Somebody, the operator if nobody else, wrote something."""
        fields: dict[str, Any] = {"subresource": "", "namespace": "here", **more}
        number = f"audit-{len(self.told)}"
        self.told.append(
            AuditEvent(
                t=t, t_end=t + 0.01, id=number, user=user, verb=verb, group="", resource=resource,
                name=name, code=code, **fields,
            )
        )  # fmt: skip

    def see(self, t: float, resource: str, item: Object, *, kind: str = "MODIFIED") -> None:
        """The grader's watch saw an object."""
        meta = item["metadata"]
        self.told.append(WatchEvent(t, kind, resource, meta["namespace"], meta["name"], copy.deepcopy(item)))

    def judge(self, function: Callable[[Bundle, Facts], None], folder: Path, **manifest: Any) -> Facts:
        """Let a check look at what was told; gives its facts, and raises what it raises."""
        facts = Facts()
        function(self.bundle(folder, **manifest), facts)
        return facts

    def bundle(self, folder: Path, **manifest: Any) -> Bundle:
        """What was told, written and opened."""
        writer = BundleWriter(folder / "bundle")
        for record in sorted(self.told, key=lambda each: each.t):
            writer.add(record)
        writer.close(make_manifest(**manifest))
        return Bundle(folder / "bundle")


def job(name: str, space: str = "here", **status: Any) -> Object:
    """A job as the API server shows it."""
    metadata = {"name": name, "namespace": space, "uid": f"uid-{space}-{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {}, "status": status}


def pod(owner: Object, index: int, life: int = 1, *, phase: str = "Running") -> Object:
    """A pod of a job; `life` tells pods of one name apart."""
    space, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
    reference = {"kind": KIND, "name": name, "uid": owner["metadata"]["uid"], "controller": True}
    env = {"PET_NNODES": "2", "PET_NODE_RANK": str(index), "PET_MASTER_ADDR": f"{name}-0.{name}.{space}.svc"}
    token = f"kube-api-access-{space}{index}{life}"
    return {
        "metadata": {
            "name": f"{name}-{index}",
            "namespace": space,
            "uid": f"uid-{space}-{name}-{index}-{life}",
            "labels": {JOB_NAME: name, REPLICA_INDEX: str(index)},
            "ownerReferences": [reference],
        },
        "spec": {
            "nodeName": f"node-{space}",
            "containers": [
                {
                    "name": "trainer",
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                    "volumeMounts": [{"name": token, "mountPath": "/var/run/secrets"}],
                }
            ],
            "volumes": [{"name": token, "projected": {}}],
        },
        "status": {"phase": phase},
    }


def service(owner: Object, **spec: Any) -> Object:
    """The headless Service of a job."""
    meta = owner["metadata"]
    reference = {"kind": KIND, "name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": f"uid-svc-{meta['uid']}",
            "ownerReferences": [reference],
        },
        "spec": {"clusterIP": "None", "ports": [{"name": "rendezvous", "port": 29500}], **spec},
    }


JOBS = PLURAL
