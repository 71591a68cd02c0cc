"""Stand-ins for a kubelet at a real API server and Job controller: how a pod ends is said, or is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graders.batch.indexedjob import CONTAINER
from graders.batch.podfates import index_of
from graders.kube.client import Kube
from tests.e2e.classes import python_path

NOWHERE = "99999"
"""So many processors has no node: pods stay where only a stand-in finds them."""

OF_AN_IMAGE = ("PATH", "HOME", "KUBEPROOF_CACHE", "KUBEPROOF_PROVIDER")
_TOLD = 2000


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    """The status of a pod whose container ended so."""
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return {"phase": "Succeeded" if code == 0 else "Failed", "containerStatuses": [container(state)]}


def waiting(reason: str, message: str) -> dict[str, Any]:
    """The status of a pod that cannot start."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [container(state)]}


def container(state: dict[str, Any]) -> dict[str, Any]:
    """The status of its one container."""
    return {"name": CONTAINER, "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


@contextmanager
def own_namespace(kube: Kube, name: str) -> Iterator[str]:
    """A namespace for as long as the block runs, named after a test."""
    namespace = f"batch-{abs(hash(name)) % 10**8}"
    kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    yield namespace
    kube.delete(f"/api/v1/namespaces/{namespace}")


class Kubelet:
    """Ends each pod of a Job as the script of its index says, one pod after another."""

    def __init__(self, kube: Kube, namespace: str, script: Mapping[int, Sequence[dict[str, Any]]]) -> None:
        self.kube, self.pods = kube, f"/api/v1/namespaces/{namespace}/pods"
        self.script = {index: list(ends) for index, ends in script.items()}
        self.seen: dict[str, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            for pod in self.kube.get(self.pods)["items"]:
                if pod["metadata"]["name"] not in self.seen:
                    self.begin(pod["metadata"]["name"], pod)
            self.look()

    def begin(self, name: str, pod: Mapping[str, Any]) -> None:
        """What to do with a pod that is new."""
        index = index_of(pod)
        if self.script.get(index):
            self.seen[name] = index
            self.tell(name, self.script[index].pop(0))

    def look(self) -> None:
        """What to do again and again."""

    def tell(self, name: str, status: Mapping[str, Any]) -> None:
        self.kube.patch(f"{self.pods}/{name}/status", {"status": status})

    def __enter__(self) -> Kubelet:
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


class ProcessKubelet(Kubelet):
    """Runs what a pod's container is to run, with its arguments and its environment, as a process here."""

    def __init__(self, kube: Kube, namespace: str, course: Path, folder: Path) -> None:
        super().__init__(kube, namespace, {})
        self.course, self.folder = course, folder
        self.secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self.at_work: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, pod: Mapping[str, Any]) -> None:
        (grader,) = pod["spec"]["containers"]
        self.seen[name] = index_of(pod)
        given = {each["name"]: each["value"] for each in grader["env"] if "value" in each}
        given["JOB_COMPLETION_INDEX"] = str(index_of(pod))
        # What runs beside it on a machine, a pod does not see.
        alone = self.folder / name
        alone.mkdir()
        for source in grader.get("envFrom", ()):
            secret = self.kube.get(f"{self.secrets}/{source['secretRef']['name']}")
            given |= {key: b64decode(value).decode() for key, value in secret["data"].items()}
        # Of this machine only what an image has: its programs, where they are kept, and the provider.
        ours = {name: os.environ[name] for name in OF_AN_IMAGE if name in os.environ}
        command = [sys.executable, "-m", "graders", "--course", str(self.course), *grader["args"]]
        with (self.folder / f"{name}.log").open("wb") as told:
            self.at_work[name] = subprocess.Popen(
                command,
                env={**given, **ours, "PYTHONPATH": python_path(), "TMPDIR": str(alone)},
                stdout=told,
                stderr=told,
            )
        self.tell(name, {"phase": "Running"})

    def look(self) -> None:
        for name, process in list(self.at_work.items()):
            if (code := process.poll()) is not None:
                del self.at_work[name]
                said = (self.folder / f"{name}.log").read_text("utf-8", "replace")[-_TOLD:]
                self.tell(name, terminated(code, "Error" if code else "Completed", said))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for process in self.at_work.values():
            process.kill()
            process.wait()
