"""What a Job of gradings needs of kind: two workers, user namespaces for pods, a folder that they share."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.batch.indexedjob import PLACE_LABEL, place_label
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages.imagecache import load
from graders.polling import NotYet, wait_for
from graders.progress import Progress
from scripts.grader_image import grader_image
from tests.e2e.classes import COURSE
from tests.kind.machinery import Machinery, Node
from tests.scale.pinned import program

NAMESPACE = "kubeproof"
COMES_WITHIN_S = 180.0

_TINY = "-tiny"
_OLDEST = (1, 2)
"""The first runc that gives a pod a user namespace."""

_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - role: worker
    extraMounts: [{hostPath: OBJECTS, containerPath: /objects}]
  - role: worker
    extraMounts: [{hostPath: OBJECTS, containerPath: /objects}]
"""

_NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: kubeproof, labels: {pod-security.kubernetes.io/enforce: privileged}}
"""

_VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: PLACE}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: /objects/PLACE, type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: PLACE, namespace: kubeproof}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: PLACE
  resources: {requests: {storage: 10Gi}}
"""


@dataclass(frozen=True)
class Pods:
    """A cluster that grades: its control plane, its workers, and what a batch is told of it."""

    machinery: Machinery
    control_plane: Node
    workers: Sequence[Node]
    kubeconfig: Path
    objects: Path
    course: Path
    image: str

    @property
    def engine(self) -> Engine:
        """Whose containers the nodes are."""
        return self.machinery.engine

    @property
    def context(self) -> str:
        """As kind calls it."""
        return f"kind-{self.control_plane.container.removesuffix('-control-plane')}"

    def whole_course_image(self) -> str:
        """The grader's image as it is, with this checkout's labs, on the workers that are left."""
        reference = self.image.removesuffix(_TINY)
        nodes = self.control_plane.kubectl("get", "nodes", "-o=name").split()
        left = [one.container for one in self.workers if f"node/{one.container}" in nodes]
        _load(self.machinery, reference, left)
        return reference

    def options(self, place: str) -> list[str]:
        """What `kubeproof batch` is told to grade here; `place` names a new folder that the workers share."""
        (self.objects / place).mkdir()
        # Pods are nobody of this machine's.
        (self.objects / place).chmod(0o777)
        self.control_plane.kubectl("apply", "--filename=-", stdin=_VOLUME.replace("PLACE", place))
        return [
            *("--executor", "kubernetes", "--image", self.image, "--claim", place),
            *("--objects", f"file://{self.objects}/{place}", "--namespace", NAMESPACE),
            *("--kubeconfig", str(self.kubeconfig), "--context", self.context),
        ]

    def in_phase(self, phase: str) -> dict[str, str]:
        """The node of each grading pod in that phase."""
        where = [f"--namespace={NAMESPACE}", f"--field-selector=status.phase={phase}"]
        listed = json.loads(self.control_plane.kubectl("get", "pods", "-o=json", *where))["items"]
        return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in listed}

    def evict(self, pod: str) -> None:
        """Have a pod evicted, as a drain does it."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": NAMESPACE},
        }
        where = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
        self.control_plane.kubectl("create", f"--raw={where}", "--filename=-", stdin=json.dumps(body))

    def jobs(self, place: str) -> list[dict[str, Any]]:
        """The Jobs that work with that place."""
        label = f"{PLACE_LABEL}={place_label(f'file://{self.objects}/{place}')}"
        listed = self.control_plane.kubectl(
            "get", "jobs", "-o=json", f"--namespace={NAMESPACE}", f"--selector={label}"
        )
        return list(json.loads(listed)["items"])


def course_image(engine: Engine, folder: Path, progress: Progress) -> str:
    """The grader's image with the tiny course in it, which is in Python alone."""
    grader = grader_image(engine, without_go=True)
    load(engine, grader, progress)
    for part in ("graders", "labs", "rubrics"):
        shutil.copytree(COURSE / part, folder / "course" / part, ignore=shutil.ignore_patterns("__pycache__"))
    lines = [f"FROM {grader.reference}", "COPY course /opt/course", "ENV KUBEPROOF_COURSE=/opt/course"]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    reference = f"{grader.reference}{_TINY}"
    engine.call("build", f"--tag={reference}", str(folder))
    return reference


@contextmanager
def two_workers(machinery: Machinery, folder: Path, progress: Progress) -> Iterator[Pods]:
    """The cluster, with the image on its workers."""
    objects = folder / "objects"
    objects.mkdir()
    with ExitStack() as stack:
        # The image is made while the cluster starts.
        pool = stack.enter_context(ThreadPoolExecutor(1))
        made = pool.submit(course_image, machinery.engine, folder / "image", progress)
        config = _CONFIG.replace("OBJECTS", str(objects))
        control_plane = stack.enter_context(machinery.cluster(folder, config))
        name = control_plane.container.removesuffix("-control-plane")
        workers = [Node(machinery.engine, f"{name}-worker{number}") for number in ("", "2")]
        for worker in workers:
            _give_user_namespaces(worker, progress)
        _load(machinery, made.result(), [worker.container for worker in workers])
        control_plane.kubectl("apply", "--filename=-", stdin=_NAMESPACE)
        yield Pods(
            machinery,
            control_plane,
            workers,
            folder / "kubeconfig",
            objects,
            folder / "image" / "course",
            made.result(),
        )


def _give_user_namespaces(worker: Node, progress: Progress) -> None:
    """Have a runtime on the node that can, and its kubelet know."""
    said = worker.run("runc", "--version").stdout.split()
    if tuple(int(part) for part in said[2].split(".")[:2]) >= _OLDEST:
        return
    worker.engine.call("cp", str(_runc(progress)), f"{worker.container}:/usr/local/sbin/runc")
    worker.run("systemctl", "restart", "containerd", "kubelet")

    def known() -> None:
        told = worker.run("kubectl", "--kubeconfig=/etc/kubernetes/kubelet.conf", "get", "node",
                          worker.container, "--output=json")  # fmt: skip
        handlers = json.loads(told.stdout or "{}").get("status", {}).get("runtimeHandlers", ())
        if not any(one.get("features", {}).get("userNamespaces") for one in handlers):
            raise NotYet(f"{worker.container} has no user namespaces for pods: {handlers}")

    wait_for(known, timeout_s=COMES_WITHIN_S, interval_s=1.0)


def _runc(progress: Progress) -> Path:
    """A runc that can, built of the pinned module; it needs a C compiler and libseccomp's headers."""
    # On its own: the node's libraries are not this machine's.
    alone = ["-tags", "seccomp,netgo,osusergo", "-ldflags", "-s -w -extldflags -static"]
    return program("noderuntime", "github.com/opencontainers/runc", progress, *alone, CGO_ENABLED="1")


def _load(machinery: Machinery, image: str, nodes: Sequence[str]) -> None:
    cluster = nodes[0].removesuffix("-worker")
    done = subprocess.run(
        [machinery.kind, "load", "docker-image", image, f"--name={cluster}", f"--nodes={','.join(nodes)}"],
        env=dict(machinery.engine.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
