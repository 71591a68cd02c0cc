"""A cluster whose control plane a test breaks, and what tells that it works again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.embedded import EmbeddedProvider
from graders.clusters.etcdclient import etcd_client, etcd_key
from graders.clusters.provider import ClusterSpec
from graders.controlplane import ControlPlane
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.model import Cluster
from graders.polling import NotYet, wait_for
from graders.progress import Silent

WITHIN_S = 120.0
"""Generous on purpose: these tests are about what happens, not when."""

DEFAULT = "/api/v1/namespaces/default"
_numbers = count()


@dataclass
class Controlled:
    """A running cluster, its control plane, and the audit lines so far."""

    cluster: Cluster
    control: ControlPlane
    kube: Kube
    lines: list[bytes] = field(default_factory=list)

    def mend(self) -> None:
        """Start what a test has killed, and wait until the API server is ready."""
        for name in self.control.components:
            self.control.start(name)
        self.control.wait_ready(WITHIN_S)

    def note(self) -> str:
        """Create a ConfigMap; gives its name."""
        name = f"note-{next(_numbers)}"
        self.kube.create(f"{DEFAULT}/configmaps", {"metadata": {"name": name}})
        return name

    def noted(self, name: str) -> bool:
        """Whether such a ConfigMap is there, as etcd knows it, not a cache."""
        return self.kube.find(f"{DEFAULT}/configmaps/{name}") is not None

    def works(self) -> None:
        """A new job of two pods is made by a controller, scheduled, simulated and seen to be complete."""
        name = f"work-{next(_numbers)}"
        jobs = "/apis/batch/v1/namespaces/default/jobs"
        ends = {"annotations": {"kubeproof.dev/exit-code": "0"}}
        pod = {"containers": [{"name": "main", "image": "any"}], "restartPolicy": "Never"}
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"parallelism": 2, "completions": 2, "template": {"metadata": ends, "spec": pod}},
        }

        def created() -> None:
            try:
                self.kube.create(jobs, manifest)
            except (InfraFault, ApiRefused) as error:
                raise NotYet(str(error)) from error

        def complete() -> None:
            try:
                status = self.kube.get(f"{jobs}/{name}")["status"]
            except (InfraFault, ApiRefused) as error:
                raise NotYet(str(error)) from error
            if status.get("succeeded") != 2:
                raise NotYet(json.dumps(status))

        wait_for(created, timeout_s=WITHIN_S)
        wait_for(complete, timeout_s=WITHIN_S)

    def audited(self, name: str) -> list[str]:
        """The verbs of what was audited of the ConfigMap `name`."""
        entries: list[dict[str, Any]] = [json.loads(line) for line in list(self.lines)]
        return [entry["verb"] for entry in entries if entry.get("objectRef", {}).get("name") == name]

    def etcd_call(self, path: str, body: dict[str, Any], member: int = 0) -> dict[str, Any]:
        """Ask a member of etcd, past the API server."""
        with etcd_client(self.control.etcd, member) as client:
            answer = client.post(f"/{path}", json=body)
            answer.raise_for_status()
            return dict(answer.json())

    def in_etcd(self, note: str, member: int = 0) -> bool:
        """Whether a member of etcd itself has a ConfigMap."""
        key = etcd_key(f"/registry/configmaps/default/{note}")
        return int(self.etcd_call("kv/range", {"key": key}, member).get("count", 0)) == 1


@contextlib.contextmanager
def controlled(state: Path, **wanted: Any) -> Iterator[Controlled]:
    """A cluster with its state folder at `state`."""
    lines: list[bytes] = []
    spec = ClusterSpec(name="controlled", on_audit=lines.append, **wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_STATE", str(state))
        with EmbeddedProvider().provision(spec, Silent()) as cluster:
            assert cluster.control is not None
            yield Controlled(cluster, cluster.control, Kube(cluster.kubeconfig), lines)
