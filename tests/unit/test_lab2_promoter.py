"""Promotion by a command: what it can do, what is on record of it, and what it cannot break."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.gitops.promoter import EVERY_S, Promoter, PromotionCommand
from graders.gitops.pushes import Pushes
from graders.gitops.releasefile import ReleaseFile
from graders.gitops.releasemanager import REPOSITORY, Obstructed, ReleaseManager
from graders.kube.client import Answer
from graders.lab2.images import digest_of
from graders.lab2.tracks import promotion
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.ports import held_ports
from graders.sandbox.bubblewrap import BubblewrapSandbox
from graders.sandbox.plain import PlainSandbox
from graders.sandbox.protocol import MIB, Limits, Sandbox
from graders.sandbox.runtime import Runtime
from graders.scenario.toolroom import ToolRoom
from graders.services.gitserver import GitServer, git_server
from tests.unit.lab2_recording import reference
from tests.unit.test_lab2_checks import judged

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("git") is None, reason="there is no git"),
]

REGISTRY = "127.0.0.1:5000"
RELEASE = ReleaseFile("release.yaml", ("digest",), "digest")
WITHIN_S = 30.0
COMMIT = "git commit --quiet --allow-empty --all --message Promote"
SANDBOXES: tuple[Sandbox, ...] = (BubblewrapSandbox(), PlainSandbox())


def image_of(version: str) -> str:
    return f"{REGISTRY}/web@{digest_of(version)}"


@dataclass(frozen=True)
class Scene:
    """A repository with v1 released, and a way to run a command on it."""

    server: GitServer
    manager: ReleaseManager
    writer: BundleWriter
    recording: Recording
    folder: Path

    def promoter(
        self,
        script: str,
        sandbox: Sandbox,
        timeout_s: float = 20.0,
        spokes: Any = None,
        registry: str = REGISTRY,
        tools: Mapping[str, Path] | None = None,
    ) -> Promoter:
        if script:
            self.manager.change("Bring the command", {"ci/promote": f"#!/bin/sh\n{script}\n".encode()})
        runtime = Runtime(Path(sys.prefix), Path(sys.executable), Path(sys.base_prefix), "")
        room = ToolRoom(sandbox, runtime, tools or {})
        limits = Limits(log_bytes=MIB)
        argv = ("sh" if script else "python3", "ci/promote")
        command = PromotionCommand(argv, room, limits, timeout_s, registry, "web", "web")
        folder = self.folder / f"promotion-{threading.get_ident()}"
        return Promoter(command, self.server, self.manager, spokes or {}, folder, self.recording)

    def once(self, script: str, sandbox: Sandbox | None = None, timeout_s: float = 20.0) -> dict[str, Any]:
        """What is on record of the first run."""
        with self.promoter(script, sandbox or PlainSandbox(), timeout_s) as promoter:
            wait_for(lambda: self._ran(promoter), timeout_s=WITHIN_S)
        return self.records("commandruns")[0]

    def _ran(self, promoter: Promoter) -> None:
        assert not promoter.problem
        if not self.records("commandruns"):
            raise NotYet("no run has ended")

    def records(self, name: str) -> list[dict[str, Any]]:
        file = self.writer.folder / f"{name}.jsonl"
        for each in list(self.writer._files.values()):
            each.flush()
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def clone(self) -> Path:
        folder = self.folder / "somebody"
        self.server.clone(REPOSITORY, folder)
        return folder


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    with (
        BundleWriter(tmp_path / "bundle") as writer,
        OwnedFolder("services", "lab2-test") as owner,
        git_server(owner, tmp_path / "git", [REPOSITORY]) as server,
    ):
        recording = Recording(writer)
        manager = ReleaseManager(server, tmp_path / "clone", recording, image_of)
        manager.begin({"release.yaml": b"digest: none\n"}, RELEASE, "v1")
        yield Scene(server, manager, writer, recording, tmp_path)


@pytest.mark.parametrize("sandbox", SANDBOXES, ids=lambda each: each.name)
def test_it_runs_in_a_clone_of_its_own_and_may_push(scene: Scene, sandbox: Sandbox) -> None:
    if problem := sandbox.problem():
        pytest.skip(problem)
    script = (
        f'cat "$LAB_STATE"; echo promoted > state.txt; git add state.txt; {COMMIT}; git push origin HEAD:main'
    )
    run = scene.once(script, sandbox)
    assert (run["code"], run["pushes"]) == (0, 1), run["output"]
    assert '"environments": {}' in run["output"]
    assert scene.manager.text("state.txt") == b"promoted\n"
    (pushed,) = scene.records("pushes")
    assert (pushed["forced"], pushed["lost"]) == (False, [])
    assert [c["subject"] for c in scene.records("commits") if c["by"] == "learner"] == ["Promote"]
    assert "exited with code 0, 1 pushes" in (scene.writer.folder / "logs" / "promotion.log").read_text()


@pytest.mark.parametrize(
    ("script", "timeout_s", "reason"),
    [
        ("sleep 600", 0.5, "was stopped: it ran longer than it may"),
        ("yes", 20.0, "was stopped: it printed more than it may"),
        ("echo no idea; exit 3", 20.0, "exited with code 3"),
        ("kill -9 $$", 20.0, "was ended by signal 9"),
    ],
    ids=["hangs", "floods", "fails", "dies"],
)
def test_how_a_run_ends_is_on_record(scene: Scene, script: str, timeout_s: float, reason: str) -> None:
    assert scene.once(script, timeout_s=timeout_s)["reason"] == reason


class Told:
    """An environment whose API server gives an answer, or none."""

    def __init__(self, answer: Answer | None) -> None:
        self.kube = self
        self._answer = answer

    def request(self, *_: object, **__: object) -> Answer:
        if self._answer is None:
            raise InfraFault("it does not answer")
        return self._answer


def running(version: str, available: int, generation: int = 1) -> Told:
    status = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": available, "observedGeneration": 1}
    spec = {
        "replicas": 1,
        "template": {
            "spec": {"containers": [{"name": "web", "image": f"{REGISTRY}/web@{digest_of(version)}"}]}
        },
    }
    return Told(Answer(200, {"metadata": {"generation": generation}, "spec": spec, "status": status}))


def test_what_it_is_told_of_each_environment_is_about_the_digest_that_is_stored_there(scene: Scene) -> None:
    spokes = {
        "dev": running("v2", 1),
        "staging": running("v2", 0),
        "behind": running("v2", 1, generation=2),
        "empty": Told(Answer(404, {})),
        "away": Told(None),
    }
    with scene.promoter('cat "$LAB_STATE"', PlainSandbox(), spokes=spokes) as promoter:
        wait_for(lambda: scene._ran(promoter), timeout_s=WITHIN_S)
    told = json.loads(scene.records("commandruns")[0]["output"])["environments"]
    v2, nothing = digest_of("v2"), {"digest": "", "ready": False}
    assert told == {
        "dev": {"digest": v2, "ready": True},
        "staging": {"digest": v2, "ready": False},
        "behind": {"digest": v2, "ready": False},
        "empty": nothing,
        "away": nothing,
    }


def test_nothing_on_disk_outlives_a_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = BubblewrapSandbox()
    if problem := sandbox.problem():
        pytest.skip(problem)
    monkeypatch.setattr("graders.gitops.promoter.EVERY_S", 0.1)
    script = (
        'for at in . "$HOME" /tmp; do ls "$at/left-behind" 2>/dev/null && exit 9;'
        ' echo x > "$at/left-behind"; done; echo fresh'
    )
    with scene.promoter(script, sandbox) as promoter:
        wait_for(lambda: _runs(scene, promoter, 2), timeout_s=WITHIN_S)
    for run in scene.records("commandruns")[:2]:
        assert (run["code"], run["output"].strip()) == (0, "fresh")


def test_it_has_no_kubeconfig_and_reaches_its_repository_and_the_registry_alone(scene: Scene) -> None:
    sandbox = BubblewrapSandbox()
    if problem := sandbox.problem():
        pytest.skip(problem)
    with held_ports(2) as (images, other), listening(images), listening(other):
        script = REACHES.format(git=scene.server.address[1], registry=images, other=other)
        with scene.promoter(script, sandbox, registry=f"127.0.0.1:{images}") as promoter:
            wait_for(lambda: scene._ran(promoter), timeout_s=WITHIN_S)
    told = scene.records("commandruns")[0]["output"].split()
    assert told == ["git:0", "registry:0", "other:1", "kubeconfig:none"]


REACHES = """\
for door in git:{git} registry:{registry} other:{other}; do
  python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' \\
    "${{door#*:}}" 2>/dev/null; echo "${{door%:*}}:$?"
done
echo "kubeconfig:${{KUBECONFIG:-none}}"
"""


@contextmanager
def listening(port: int) -> Iterator[None]:
    """Somebody listens at a port of this machine."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def test_it_finds_on_its_path_what_a_preflight_does(scene: Scene) -> None:
    sandbox = BubblewrapSandbox()
    if problem := sandbox.problem():
        pytest.skip(problem)
    tool = scene.folder / "tools" / "kustomize"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho it is kustomize\n")
    tool.chmod(0o755)
    script = "kustomize; git --version > /dev/null && python3 -c 'import yaml' && echo all"
    with scene.promoter(script, sandbox, tools={"kustomize": tool}) as promoter:
        wait_for(lambda: scene._ran(promoter), timeout_s=WITHIN_S)
    assert scene.records("commandruns")[0]["output"].split("\n")[:2] == ["it is kustomize", "all"]


def test_it_runs_again_and_again_one_run_at_a_time(scene: Scene) -> None:
    assert EVERY_S == 5.0
    with scene.promoter("sleep 0.5", PlainSandbox()) as promoter:
        wait_for(lambda: _runs(scene, promoter, 2), timeout_s=WITHIN_S)
    first, second, *_ = scene.records("commandruns")
    assert second["t"] - first["t"] == pytest.approx(EVERY_S, abs=1.5)
    assert first["t_end"] <= second["t"]


def test_what_a_forced_push_throws_away_is_told_and_brought_back(scene: Scene) -> None:
    script = f"git reset --quiet --hard HEAD~1; {COMMIT}; git push --force origin HEAD:main"
    second = scene.manager.release("v2", RELEASE)
    run = scene.once(script)
    assert (run["code"], run["pushes"]) == (0, 1), run["output"]
    (pushed,) = scene.records("pushes")
    (lost,) = pushed["lost"]
    assert pushed["forced"]
    assert {c["sha"]: c["subject"] for c in scene.records("commits")}[lost] == "Bring the command"
    scene.manager.change("Write a note", {"note.txt": b"x\n"})
    assert {second, lost} <= set(scene.server.commits(REPOSITORY))
    assert scene.manager.text("ci/promote").startswith(b"#!/bin/sh\n")


def test_another_history_altogether_is_told_and_all_is_brought_back(scene: Scene) -> None:
    script = (
        f"git checkout --quiet --orphan other; git rm -rfq .; {COMMIT}; git push --force origin HEAD:main"
    )
    scene.manager.release("v2", RELEASE)
    scene.once(script)
    assert len(scene.records("pushes")[0]["lost"]) == 3
    scene.manager.release("v4", RELEASE)
    assert scene.manager.text("release.yaml") == f'digest: "{digest_of("v4")}"\n'.encode()
    assert set(scene.manager.made) <= set(scene.server.commits(REPOSITORY))


def test_a_held_push_meets_the_commit_that_came_meanwhile(scene: Scene) -> None:
    scene.server.hold_next_push()
    with scene.promoter(f"{COMMIT}; git push origin HEAD:main", PlainSandbox()) as promoter:
        wait_for(lambda: _held(promoter), timeout_s=WITHIN_S)
        note = scene.manager.change("Write a note", {"note.txt": b"x\n"})
        promoter.let_push()
        wait_for(lambda: scene._ran(promoter), timeout_s=WITHIN_S)
    run = scene.records("commandruns")[0]
    assert run["code"] != 0
    assert "rejected" in run["output"]
    assert scene.server.commits(REPOSITORY)[0] == note


def _held(promoter: Promoter) -> None:
    if not promoter.push_is_held:
        raise NotYet("no push is held")


@dataclass
class Race:
    """As much of a track's context as a race among pushes needs."""

    scene: Scene
    marks: list[str] = field(default_factory=list)
    promises: Any = field(default_factory=lambda: SimpleNamespace(promote_s=WITHIN_S, timeout_s=WITHIN_S))

    def reached(self, _: str, probe: Callable[[], object], limit_s: float) -> bool:
        wait_for(probe, timeout_s=limit_s)
        return True

    def mark(self, name: str, **_: object) -> None:
        self.marks.append(name)

    def release(self, version: str) -> None:
        self.scene.manager.release(version, RELEASE)

    def change(self, subject: str, files: Mapping[str, bytes | None]) -> None:
        self.scene.manager.change(subject, files)


PROPOSES = (
    "if git fetch --quiet origin proposal; then {commit}; git push {how} origin HEAD:main; "
    "else git push origin HEAD:refs/heads/proposal; fi"
)


@pytest.mark.parametrize(
    ("script", "lost"),
    [
        (f"{COMMIT}; git push --force origin HEAD:main", ["Release v6"]),
        (f"{COMMIT}; git push origin HEAD:main", []),
        (PROPOSES.format(commit=COMMIT, how="--force"), ["Write a note"]),
        (PROPOSES.format(commit=COMMIT, how=""), []),
    ],
    ids=["forces", "pushes", "forces-what-it-proposed", "proposes"],
)
def test_what_is_held_is_a_push_to_main_whatever_else_is_pushed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, script: str, lost: list[str]
) -> None:
    monkeypatch.setattr("graders.gitops.promoter.EVERY_S", 0.1)
    race = Race(scene)
    with scene.promoter(script, PlainSandbox()) as promoter:
        promotion._release_while_a_push_is_held(race, promoter)  # type: ignore[arg-type]
        over = promoter.ended + 1
        wait_for(lambda: _runs(scene, promoter, over), timeout_s=WITHIN_S)
    assert race.marks == ["push-held"] * (2 if "proposal" in script else 1)
    subjects = {each["sha"]: each["subject"] for each in scene.records("commits")}
    assert [subjects[sha] for push in scene.records("pushes") for sha in push["lost"]] == lost


def test_a_push_that_is_too_large_is_refused(scene: Scene) -> None:
    config = scene.server.root / REPOSITORY / "config"
    config.write_text(config.read_text().replace(str(64 * MIB), str(MIB)))
    script = f"head -c 3000000 /dev/urandom > blob; git add blob; {COMMIT}; git push origin HEAD:main"
    run = scene.once(script)
    assert (run["pushes"], run["code"] == 0) == (0, False)
    assert "exceeds maximum allowed size" in run["output"]


def test_a_repository_that_has_grown_too_large_takes_no_more(scene: Scene) -> None:
    with (scene.server.root / REPOSITORY / "large").open("wb") as file:
        file.truncate(257 * MIB)
    run = scene.once(f"{COMMIT}; git push origin HEAD:main")
    assert (run["pushes"], run["code"] == 0) == (0, False)


def test_the_main_branch_cannot_be_deleted(scene: Scene) -> None:
    run = scene.once("git push origin :main")
    assert (run["pushes"], run["code"] == 0) == (0, False)


def test_a_tree_that_cannot_be_checked_out_is_the_learner_s(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graders.gitops.promoter.EVERY_S", 0.1)
    long = "x" * 300
    script = (
        f"tree=$(printf '100644 blob %s\\t{long}\\n' $(git hash-object -w release.yaml) | git mktree); "
        "git push origin $(git commit-tree $tree -p HEAD -m Long):refs/heads/main"
    )
    with scene.promoter(script, PlainSandbox()) as promoter:
        wait_for(lambda: _runs(scene, promoter, 2), timeout_s=WITHIN_S)
    assert "could not be run: git cannot clone" in scene.records("commandruns")[1]["reason"]
    with pytest.raises(Obstructed, match="with what was pushed"):
        scene.manager.release("v2", RELEASE)


def _runs(scene: Scene, promoter: Promoter, number: int) -> None:
    assert not promoter.problem
    if len(scene.records("commandruns")) < number:
        raise NotYet("it has not run so often")


def test_a_release_file_that_is_gone_is_said(scene: Scene) -> None:
    scene.once(f"git rm -q release.yaml; {COMMIT}; git push origin HEAD:main")
    with pytest.raises(Obstructed, match=r"release\.yaml is not as it was handed in"):
        scene.manager.release("v2", RELEASE)


def test_links_lead_nowhere(scene: Scene) -> None:
    outside = scene.folder / "outside"
    outside.write_text("as it was")
    scene.once(
        f"rm release.yaml; ln -s {outside} release.yaml; git add .; {COMMIT}; git push origin HEAD:main"
    )
    with pytest.raises(Obstructed):
        scene.manager.release("v2", RELEASE)
    assert outside.read_text() == "as it was"


def test_pushes_of_the_release_manager_are_none_of_the_command_s(scene: Scene) -> None:
    scene.manager.release("v2", RELEASE)
    assert Pushes(scene.server, scene.manager, scene.recording).look() == 0


REFERENCE = Path(__file__).parents[2] / "solutions" / "lab2" / "reference-command"
FILES = {"dev": "fleet/release.yaml"}
FILES |= {each: f"clusters/{each}/release.yaml" for each in ("staging", "prod")}


class Spoke:
    """An environment that runs what its file says, and is ready unless that is broken."""

    def __init__(self, scene: Scene, name: str, broken: set[str]) -> None:
        self.kube = self
        self._scene, self._name, self._broken = scene, name, broken
        self.ran: list[str] = []

    def digest(self) -> str:
        text = self._scene.manager.text(FILES[self._name]).decode()
        return str(re.findall(r"sha256:[0-9a-f]{64}", text)[0])

    def request(self, *_: object, **__: object) -> Answer:
        digest = self.digest()
        if digest not in self.ran:
            self.ran.append(digest)
        count = 0 if digest in self._broken else 1
        status = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": count, "observedGeneration": 1}
        container = {"name": "web", "image": f"{REGISTRY}/web@{digest}"}
        spec = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
        return Answer(200, {"metadata": {"generation": 1}, "spec": spec, "status": status})


def test_the_reference_promotes_in_order_past_a_broken_release_and_a_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("graders.gitops.promoter.EVERY_S", 0.1)
    release = ReleaseFile(FILES["dev"], ("data", "digest"), "digest")
    with (
        BundleWriter(tmp_path / "bundle") as writer,
        OwnedFolder("services", "lab2-test") as owner,
        git_server(owner, tmp_path / "git", [REPOSITORY]) as server,
    ):
        recording = Recording(writer)
        manager = ReleaseManager(server, tmp_path / "clone", recording, image_of)
        files = {path: (REFERENCE / path).read_bytes() for path in (*FILES.values(), "ci/promote")}
        manager.begin(files, release, "v1")
        scene = Scene(server, manager, writer, recording, tmp_path)
        spokes = {name: Spoke(scene, name, {digest_of("v3")}) for name in FILES}

        def at(environment: str, version: str) -> Any:
            def probe() -> None:
                assert not promoter.problem
                if spokes[environment].digest() != digest_of(version):
                    raise NotYet(f"{environment} is not at {version}")

            return probe

        with scene.promoter("", PlainSandbox(), spokes=spokes) as promoter:
            wait_for(at("prod", "v1"), timeout_s=WITHIN_S)
            manager.release("v3", release)
            soon = len(scene.records("commandruns")) + 2
            wait_for(lambda: _runs(scene, promoter, soon), timeout_s=WITHIN_S)
            manager.release("v5", release)
            wait_for(at("staging", "v5"), timeout_s=WITHIN_S)
            promoter.hold_next_push()
            wait_for(lambda: _held(promoter), timeout_s=WITHIN_S)
            manager.release("v6", release)
            promoter.let_push()
            wait_for(at("prod", "v6"), timeout_s=WITHIN_S)
    assert [push["forced"] for push in scene.records("pushes")] == [False] * len(scene.records("pushes"))
    zeros = f"sha256:{'0' * 64}"
    assert [each for each in spokes["staging"].ran if each != zeros] == [
        digest_of(v) for v in ("v1", "v5", "v6")
    ]
    assert digest_of("v3") not in spokes["prod"].ran
    assert {run["code"] for run in scene.records("commandruns")} == {0}


def test_a_commit_that_was_thrown_away_costs_race_alone(tmp_path: Path) -> None:
    run = reference()
    commit = next(each for each in run["commits"] if each["release"] == "v6")
    push = {"t": commit["t"] + 1, "before": commit["sha"], "after": "0" * 40, "forced": True}
    run["pushes"].append({**push, "lost": [commit["sha"]]})
    outcomes = judged(run, tmp_path)
    assert [name for name, each in outcomes.items() if each.observed] == ["race"]
    assert "threw away Release v6" in outcomes["race"].observed


def test_why_nothing_was_promoted_is_said(tmp_path: Path) -> None:
    run = reference()
    run.miss("gate", "prod-ready")
    t = run.mark("gate", "released", version="v4")["t"]
    failed = {
        "t": t,
        "t_end": t + 1,
        "nth": 9,
        "code": 1,
        "reason": "exited with code 1",
        "output": "x\nKeyError: 'dev'\n",
    }
    run["commandruns"].append(failed)
    outcome = replace(judged(run, tmp_path)["unblock"])
    assert "failed in 1 of 1 runs" in outcome.hint
    assert "exited with code 1, and said: KeyError: 'dev'" in outcome.hint
