"""One life of a custom resource: asked, done, left for a moment, and deleted; dry and aborted ones, too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from graders.chaos import resources
from graders.chaos.commands import EndedCommand
from graders.chaos.reading import UPHELD, outcomes_of
from graders.chaos.records import ExperimentRun
from graders.chaos.resources import ResourceRunner
from graders.chaos.session import ChaosSession
from graders.chaos.spec import RunMode
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.kube.client import Answer

LEFT_S = 0.3
PODS = "/api/v1/namespaces/serving/pods"
KILL = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: kill}
spec: {action: pod-kill, mode: one, selector: {namespaces: [serving]}}
"""
FAIL = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: fail}
spec: {action: pod-failure, mode: one, duration: 5s, selector: {namespaces: [serving]}}
"""


class OnePod:
    """An API server with one pod; notes down what is written, and when."""

    def __init__(self, recording: Recording) -> None:
        self.written: list[tuple[str, str, Any]] = []
        self.asked: list[str] = []
        self.last = 0.0
        self._clock = recording.clock

    def get(self, path: str, **_: object) -> dict[str, Any]:
        assert path == PODS
        container = {"name": "predictor", "image": "predictor:7"}
        metadata = {"name": "one", "namespace": "serving"}
        return {
            "items": [
                {"metadata": metadata, "spec": {"containers": [container]}, "status": {"phase": "Running"}}
            ]
        }

    def delete(self, path: str, body: Any) -> None:
        self._write("DELETE", path, body)

    def request(self, method: str, path: str, *, body: Any, **_: object) -> Answer:
        self._write(method, path, body)
        return Answer(200, {})

    def _write(self, method: str, path: str, body: Any) -> None:
        self.written.append((method, path, body))
        self.last = self._clock.now()


class Holding:
    """Commands of a hypothesis that holds."""

    def __init__(self, *_: object) -> None:
        pass

    def run(self, argv: tuple[str, ...], timeout_s: float, stop: threading.Event) -> EndedCommand:
        del argv, timeout_s, stop
        return EndedCommand(0, "exited with code 0", "", "")


@dataclass
class World:
    """Runs an experiment of Chaos Mesh."""

    runner: ResourceRunner
    kube: OnePod
    root: Path

    def run(self, text: str, mode: RunMode) -> ExperimentRun:
        (self.root / "chaos.yaml").write_text(text)
        experiment = SimpleNamespace(id="one", format="chaosmesh", file="chaos.yaml", hypothesis=("steady",))
        return self.runner.run(experiment, mode, 30.0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(resources, "WATCHED_S", LEFT_S)
    monkeypatch.setattr(resources, "SandboxedCommands", Holding)
    with ExitStack() as running:
        recording = Recording(running.enter_context(BundleWriter(tmp_path / "bundle")))
        kube = OnePod(recording)
        account: Any = SimpleNamespace(name="chaos-runner", kube=lambda _: kube)
        environment: Any = SimpleNamespace(submission=tmp_path, folder=tmp_path / "environment")
        session = ChaosSession(environment, recording, account, "cluster", Random(7), 1.0)
        yield World(ResourceRunner(session), kube, tmp_path)


def journal_of(run: ExperimentRun) -> Any:
    return json.loads(run.journal)


def images(world: World) -> list[str]:
    return [body["spec"]["containers"][0]["image"] for _, _, body in world.kube.written]


def test_it_is_left_for_a_moment_after_what_it_asks_for_and_then_ends(world: World) -> None:
    run = world.run(KILL, RunMode("whole"))
    ((method, path, _),) = world.kube.written
    assert (method, path) == ("DELETE", f"{PODS}/one")
    assert run.code == 0
    assert LEFT_S <= run.t_end - world.kube.last <= LEFT_S + 0.3
    assert outcomes_of(journal_of(run)) == {UPHELD}


def test_run_dry_it_selects_and_changes_nothing(world: World) -> None:
    for text in (KILL, FAIL):
        run = world.run(text, RunMode("dry", dry=True))
        assert world.kube.written == []
        (action,) = journal_of(run)["run"]
        assert action["output"] == ["one"]
        assert run.t_end - run.t < 1.0


def test_to_abort_it_is_to_delete_it_which_takes_back_what_has_to_be_undone(world: World) -> None:
    run = world.run(FAIL, RunMode("aborted", first_write=lambda: None))
    assert run.aborted is not None
    assert run.t_end - run.t < 2.0
    assert images(world) == ["pause", "predictor:7"]
    assert journal_of(run)["status"] == "aborted"


def test_with_its_hypothesis_alone_nothing_is_injected(world: World) -> None:
    run = world.run(KILL, RunMode("hypothesis-healthy", bare=True))
    assert (run.code, world.kube.written) == (0, [])
    assert journal_of(run)["run"] == []
