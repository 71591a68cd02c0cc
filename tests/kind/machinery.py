"""Clusters of kind for tests, and what is asked of their nodes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from graders.clusters.engine.engine import Engine
from graders.clusters.kind.binary import ensure_kind
from graders.clusters.nodeimages.image import ensure_node_image
from graders.polling import NotYet, wait_for
from graders.progress import Silent

COMMAND_S = 300.0
READY_WITHIN_S = 120.0


@dataclass(frozen=True)
class Node:
    """A node of a cluster, as a container of the engine."""

    engine: Engine
    container: str

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        words = self.engine.command("exec", "--interactive", self.container, *command)
        return subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl printed; with the rights of the cluster's administrator."""
        done = self.run("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Machinery:
    """What clusters are made with."""

    engine: Engine
    kind: Path
    node_image: str

    @contextmanager
    def cluster(self, folder: Path, config: str = "") -> Iterator[Node]:
        """A cluster; gives its control-plane node."""
        name = f"kp-{uuid4().hex[:8]}"
        file = folder / "kind.yaml"
        file.write_text(config or "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n")
        options = [f"--config={file}", f"--image={self.node_image}", f"--kubeconfig={folder / 'kubeconfig'}"]
        try:
            self._run("create", "cluster", "--wait=180s", *options, f"--name={name}")
            yield Node(self.engine, f"{name}-control-plane")
        finally:
            self._run("delete", "cluster", f"--kubeconfig={folder / 'kubeconfig'}", f"--name={name}")

    def load(self, node: Node, image: str) -> None:
        """Have the nodes of a cluster know an image of the engine."""
        name = node.container.removesuffix("-control-plane")
        self._run("load", "docker-image", image, f"--name={name}")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.kind, *arguments],
            env=dict(self.engine.environment),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def machinery_of(docker_host: str) -> Machinery:
    """What that engine makes clusters with; a node image that is not there is built."""
    told = Silent()
    return Machinery(Engine(docker_host), ensure_kind(told), ensure_node_image(docker_host, told))


def mark_all_below(folder: Path, items: Iterable[pytest.Item], *marks: pytest.MarkDecorator) -> None:
    """Give the marks to whatever tests of the folder are among the items."""
    for item in items:
        if folder in item.path.parents:
            for mark in marks:
                item.add_marker(mark)


def pods(node: Node, *where: str) -> dict[str, bool]:
    """The names of pods, and whether each is ready."""
    listed = json.loads(node.kubectl("get", "pods", "--output=json", *where))["items"]
    return {
        pod["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in pod["status"].get("conditions", ())
        )
        for pod in listed
    }


def wait_until_ready(node: Node, *where: str) -> set[str]:
    def ready() -> set[str]:
        found = pods(node, *where)
        if not found or not all(found.values()):
            raise NotYet(str(found))
        return set(found)

    return wait_for(ready, timeout_s=READY_WITHIN_S, interval_s=0.5)
