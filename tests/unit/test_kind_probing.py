"""Whether a Docker engine answers is known within a moment, and decides where a cluster comes from."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graders.clusters.engine.probing import answering_engine, answers, candidates
from graders.clusters.registry import VARIABLE, default_provider
from graders.course import load_course
from graders.faults import UsageError
from tests.unit.tiny_engine import TinyEngine


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("KUBEPROOF_DOCKER_HOST", "DOCKER_HOST", VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@contextmanager
def silent(path: Path) -> Iterator[str]:
    """A socket behind which nobody ever answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield f"unix://{path}"


def test_an_engine_that_is_named_counts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///named.sock")
    assert list(candidates()) == ["unix:///named.sock"]
    monkeypatch.setenv("KUBEPROOF_DOCKER_HOST", "unix:///ours.sock")
    assert list(candidates()) == ["unix:///ours.sock"]


def test_else_the_systems_place_comes_first_and_then_the_users(tmp_path: Path) -> None:
    assert list(candidates()) == [
        "unix:///var/run/docker.sock",
        f"unix://{tmp_path}/runtime/docker.sock",
        f"unix://{tmp_path}/home/.docker/desktop/docker.sock",
        f"unix://{tmp_path}/home/.docker/run/docker.sock",
    ]


def test_an_engine_without_root_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    with TinyEngine().serve(folder) as host:
        monkeypatch.setattr(
            "graders.clusters.engine.probing.candidates", lambda: iter(["unix:///nowhere.sock", host])
        )
        assert answering_engine() == host


def test_nobody_waits_long_for_one_that_does_not_answer(tmp_path: Path) -> None:
    with silent(tmp_path / "silent.sock") as host:
        assert not answers(host)
    (tmp_path / "file").touch()
    assert not answers(f"unix://{tmp_path}/file")
    assert not answers(f"unix://{tmp_path}/{'x' * 200}")


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://me@there", "npipe:////./pipe/docker", ""])
def test_an_engine_that_may_be_elsewhere_does_not_count(host: str) -> None:
    assert not answers(host)


def test_the_default_is_kind_where_an_engine_answers_and_kind_shows_what_the_lab_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {lab.id: lab.shown for lab in map(load_course().find_lab, ("lab1", "lab2", "lab3"))}
    with TinyEngine().serve(tmp_path) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert default_provider() == default_provider(found["lab1"]) == "kind"
        assert {default_provider(found["lab2"]), default_provider(found["lab3"])} == {"embedded"}
        monkeypatch.setenv(VARIABLE, "embedded")
        assert default_provider() == "embedded"
        monkeypatch.delenv(VARIABLE)
    assert default_provider() == "embedded"


def test_a_default_that_is_none_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "minikube")
    with pytest.raises(UsageError, match="KUBEPROOF_PROVIDER names 'minikube'") as refused:
        default_provider()
    assert "kind" in refused.value.fix
