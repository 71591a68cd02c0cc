"""Does the steps of a custom resource as the learner's ServiceAccount, and undoes what has to be undone."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from graders.chaos.asking import asked
from graders.chaos.journal import ActionFailed, RunJournal
from graders.chaos.nodes import NodeFaults
from graders.chaos.pauses import Overdue, Pauses
from graders.chaos.selections import Pod, PodSelection
from graders.chaos.steps import (
    ChaosStep,
    DrainNode,
    FailPods,
    InTurn,
    KillPods,
    Pause,
    SideBySide,
    TaintNode,
)
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path

_IMAGE = "pause"
"""What Chaos Mesh puts in the place of a failing pod's images."""
_NOTE, _UNREADY = "kubeproof.dev/image.", "kubeproof.dev/unready"
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Injector:
    """Does steps; `dry` only selects, and neither changes anything nor waits."""

    kube: Kube
    journal: RunJournal
    pauses: Pauses
    dice: Random
    dry: bool = False

    def do(self, step: ChaosStep, due: float = math.inf) -> None:
        """Do a step, whose pauses end at `due`.

        Raises:
            ActionFailed: it could not be done. Deleted, Overdue: as `Pauses.wait`; all is undone by then.
        """
        match step:
            case Pause():
                self._wait(step.duration_s, due)
            case KillPods():
                self._kill(step)
            case FailPods():
                self._fail(step, due)
            case DrainNode() | TaintNode():
                NodeFaults(self.kube, self.journal, self.pauses, self.dry).do(step, due)
            case InTurn():
                with self._within(step.deadline_s, due) as mine:
                    for child in step.children:
                        self.do(child, mine)
            case SideBySide():
                with self._within(step.deadline_s, due) as mine:
                    with ThreadPoolExecutor(len(step.children)) as pool:
                        running = [pool.submit(self.do, child, mine) for child in step.children]
                    for each in running:
                        each.result()

    @contextmanager
    def _within(self, deadline_s: float | None, due: float) -> Iterator[float]:
        """The deadline of what is done in the block; to pass it is no more than the end of the block."""
        mine = self.pauses.due(deadline_s, due)
        try:
            yield mine
        except Overdue:
            if deadline_s is None or mine == due or self.pauses.late:
                raise

    def _wait(self, seconds: float, due: float) -> None:
        if not self.dry:
            self.pauses.wait(seconds, due)

    def _select(self, selection: PodSelection, output: list[str]) -> list[Pod]:
        """The pods that are meant.

        Raises:
            ActionFailed: there are none; says where they were selected.
        """
        query = {"labelSelector": selection.query} if selection.query else {}
        pods: list[Pod] = []
        for namespace in selection.namespaces:
            get = partial(self.kube.get, resource_path("v1", "pods", namespace=namespace), **query)
            pods += asked(get, selection.where)["items"]
        chosen = selection.chosen(pods, self.dice)
        if not chosen:
            raise ActionFailed(
                f"{selection.where}: no pod matches {selection.words}\n"
                "  fix: compare the selector with the labels of the pods that run"
            )
        output += [str(pod["metadata"]["name"]) for pod in chosen]
        return chosen

    def _kill(self, step: KillPods) -> None:
        provider = {"kind": "pod-kill", "arguments": {"gracePeriodSeconds": step.grace_s}}
        with self.journal.action(step.name, provider) as output:
            for pod in self._select(step.selection, output):
                if not self.dry:
                    body = {"gracePeriodSeconds": step.grace_s}
                    asked(partial(self.kube.delete, _path(pod), body), step.selection.where)
                    self.pauses.wrote()

    def _fail(self, step: FailPods, due: float) -> None:
        failing: list[Pod] = []
        provider = {"kind": "pod-failure", "arguments": {"duration_s": step.duration_s}}
        try:
            with self.journal.action(step.name, provider) as output:
                for pod in self._select(step.selection, output):
                    if not self.dry:
                        self._patch(pod, _failing(pod), step.selection.where)
                        failing.append(pod)
                        self.pauses.wrote()
            self._wait(step.duration_s, due)
        finally:
            if failing:
                with self.journal.rollback(f"{step.name}: recover", provider) as output:
                    for pod in failing:
                        self._patch(pod, _recovered(pod), step.selection.where)
                        output.append(str(pod["metadata"]["name"]))

    def _patch(self, pod: Pod, body: dict[str, Any], where: str) -> None:
        """Patch a pod; one that is gone needs nothing any more."""

        def patch() -> None:
            answer = self.kube.request("PATCH", _path(pod), body=body, content_type=_STRATEGIC)
            if not answer.ok and answer.code != 404:
                raise ApiRefused("PATCH", _path(pod), answer)

        asked(patch, where)


def _path(pod: Pod) -> str:
    metadata = pod["metadata"]
    return resource_path("v1", "pods", namespace=str(metadata["namespace"]), name=str(metadata["name"]))


def _failing(pod: Pod) -> dict[str, Any]:
    """Nothing of the pod's own runs in it; where nodes are simulated, the note has it unready."""
    images = _own_images(pod)
    notes = {f"{_NOTE}{name}": image for name, image in images.items()}
    return {
        "metadata": {"annotations": {**notes, _UNREADY: "pod-failure"}},
        "spec": {"containers": [{"name": name, "image": _IMAGE} for name in images]},
    }


def _recovered(pod: Pod) -> dict[str, Any]:
    images = _own_images(pod)
    notes = {f"{_NOTE}{name}": None for name in images}
    return {
        "metadata": {"annotations": {**notes, _UNREADY: None}},
        "spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]},
    }


def _own_images(pod: Pod) -> dict[str, str]:
    """The images of a pod, also of one that fails already."""
    notes = pod["metadata"].get("annotations") or {}
    return {
        str(each["name"]): str(notes.get(f"{_NOTE}{each['name']}", each["image"]))
        for each in pod["spec"]["containers"]
    }
