"""What is said of clusters that are kept for people, and how a daemon is told what to keep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graders.cli.cluster import _spec_text_of
from graders.clusters import daemon
from graders.clusters.daemon import ClusterRequest
from graders.clusters.listing import KeptCluster, _read
from graders.clusters.provider import ClusterSpec, NodeSpec, default_nodes
from graders.clusters.spectext import spec_of, spec_text
from graders.course import load_course
from graders.model import Capability, Cluster
from graders.ownership import start_of
from tests.unit.tiny_engine import TinyEngine


class Nodes:
    """Real nodes, by name."""

    docker_host = "unix:///engine.sock"

    def names(self) -> tuple[str, ...]:
        return ("c-control-plane", "c-worker")

    def load(self, *images: str) -> None: ...
    def fail(self, node: str) -> None: ...
    def restore(self, node: str) -> None: ...


def card(**fields: object) -> KeptCluster:
    made = KeptCluster("demo", "kind", os.getpid(), start_of(os.getpid()), 0.0)
    return KeptCluster(**{**vars(made), **fields})


def test_a_card_says_which_containers_are_nodes_and_survives_its_file(tmp_path: Path) -> None:
    cluster = Cluster(
        "demo", Path("/k"), "v1.37.2", frozenset({Capability.API}), owned=True, real_nodes=Nodes()
    )
    ready = card().ready(cluster)
    ready.write(tmp_path)

    found = _read(tmp_path)

    assert found == ready
    assert (ready.nodes, ready.docker_host) == (("c-control-plane", "c-worker"), "unix:///engine.sock")
    assert card().ready(Cluster("demo", Path("/k"), "v1", frozenset(), owned=True)).nodes == ()


def test_nodes_count_by_what_they_hold_and_are_missed_when_they_are_gone(tmp_path: Path) -> None:
    engine = TinyEngine()
    engine.add("c", "control-plane", "worker")
    engine.held = {"c-control-plane": 450_000_000}
    with engine.serve(tmp_path) as host:
        kept = card(kubeconfig="/k", nodes=("c-control-plane", "c-worker"), docker_host=host)
        assert kept.state == "lost c-worker"
        assert kept.memory_bytes > 450_000_000
        assert kept.as_json()["nodes"] == ["c-control-plane", "c-worker"]


def test_an_engine_that_is_gone_took_its_nodes_along() -> None:
    kept = card(kubeconfig="/k", nodes=("c-control-plane",), docker_host="unix:///nowhere.sock")
    assert kept.state == "lost c-control-plane"


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_a_daemon_reads_the_wish_that_it_was_started_with(
    workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ClusterRequest("demo", "kind", "nodes:1", workers)
    told: list[ClusterRequest] = []
    monkeypatch.setattr("sys.argv", ["daemon", *request.words()])
    monkeypatch.setattr(daemon, "clean_up_on_signals", lambda: None)
    monkeypatch.setattr(daemon, "_until_told", lambda _: None)
    monkeypatch.setattr(daemon, "keep", lambda request, *_: told.append(request))

    assert daemon.main() == 0

    assert told == [request]


def test_a_daemon_learns_what_a_lab_s_clusters_are_like(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ClusterSpec(
        "demo",
        nodes=(NodeSpec("n1", "zone-x", {"nvidia.com/gpu": 2}),),
        extra_controllers=("taint-eviction-controller",),
        node_grace_s=8.0,
        simulator_per_zone=True,
        identities={"somebody": ("system:masters",)},
        stages=Path("/stages.yaml"),
    )
    told: list[ClusterRequest] = []
    request = ClusterRequest("demo", "embedded", spec_text=spec_text(spec))
    monkeypatch.setattr("sys.argv", ["daemon", *request.words()])
    monkeypatch.setattr(daemon, "clean_up_on_signals", lambda: None)
    monkeypatch.setattr(daemon, "_until_told", lambda _: None)
    monkeypatch.setattr(daemon, "keep", lambda request, *_: told.append(request))

    assert daemon.main() == 0

    assert [each.spec() for each in told] == [spec]


@pytest.mark.parametrize(("lab", "per_zone"), [("lab1", False), ("lab3", True)])
def test_a_lab_says_what_its_clusters_are_like(lab: str, per_zone: bool) -> None:
    spec = spec_of("mine", _spec_text_of(load_course().find_lab(lab)))
    assert spec.name == "mine"
    assert [node.name for node in spec.nodes] == [node.name for node in load_course().find_lab(lab).nodes]
    assert spec.simulator_per_zone is per_zone
    assert ("taint-eviction-controller" in spec.extra_controllers) is per_zone


def test_workers_mean_real_nodes_alone() -> None:
    assert ClusterRequest("demo", "kind").spec().nodes == default_nodes()
    spec = ClusterRequest("demo", "kind", workers=2).spec()
    assert (spec.nodes, spec.workers) == ((), 2)


def test_a_provider_without_real_nodes_cannot_have_workers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["daemon", *ClusterRequest("demo", "embedded", workers=1).words()])
    monkeypatch.setattr(daemon, "clean_up_on_signals", lambda: None)
    monkeypatch.setattr(daemon, "_until_told", lambda _: None)

    assert daemon.main() == 0

    said = capsys.readouterr().out
    assert "--workers is for real nodes, and provider embedded makes none" in said
    assert '"code": 2' in said
