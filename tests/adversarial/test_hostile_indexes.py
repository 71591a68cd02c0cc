"""Fetching what a stranger asks for: it ends, it is bounded, and whose fault it is when it fails."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graders.faults import BadSubmission, InfraFault
from graders.sandbox import fetching
from tests.adversarial.packages import Learner, index_server, make_wheel, publishing

pytestmark = pytest.mark.adversarial


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Learner]:
    with publishing(tmp_path, monkeypatch) as found:
        yield found


def test_what_is_far_too_large_is_stopped(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MOST_BYTES", 8 * 1024**2)
    wheel = make_wheel(learner.index, "bomb")
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as packed:
        for place in range(40):
            packed.writestr(f"zeros{place}.bin", b"\0" * 50 * 1024**2)
    with pytest.raises(BadSubmission, match="take over"):
        learner.environment("bomb\n")
    assert learner.made() == []
    assert not list((learner.folder / "cache").rglob("zeros*"))


def test_more_packages_than_anybody_needs_are_stopped(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MOST_PACKAGES", 10)
    count = 60
    for place in range(count):
        make_wheel(learner.index, f"link{place}", needs=(f"link{place + 1}",) if place + 1 < count else ())
    with pytest.raises(BadSubmission, match="over 10 packages"):
        learner.environment("link0\n")


def only(wheel: Path) -> Callable[[str], tuple[int, bytes]]:
    """What an index answers that has one package."""
    name = wheel.name.split("-")[0]
    bodies = {
        f"/simple/{name}/": f'<!DOCTYPE html><a href="/files/{wheel.name}">{wheel.name}</a>'.encode(),
        f"/files/{wheel.name}": wheel.read_bytes(),
    }
    return lambda path: (200, bodies[path]) if path in bodies else (404, b"")


def test_an_index_is_asked_as_the_user_set_it(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(learner.index, "tiny")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with index_server(only(wheel)) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        private = learner.environment("tiny\n")
        assert learner.made() == [private.venv.name]
        with pytest.raises(BadSubmission, match="misspelt") as caught:
            learner.environment("tiny\nmisspelt\n")
    assert caught.value.line == 2


def test_the_users_keyring_is_the_one_program_that_pip_may_start(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(learner.index, "tiny")
    programs = learner.folder / "programs"
    programs.mkdir()
    (programs / "keyring").write_text("#!/bin/sh\necho sesame\n")
    (programs / "keyring").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIP_KEYRING_PROVIDER", "subprocess")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with index_server(only(wheel), password="sesame") as url:
        monkeypatch.setenv("PIP_INDEX_URL", url.replace("//", "//me@"))
        private = learner.environment("tiny\n")
    assert learner.made() == [private.venv.name]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_an_index_that_refuses_or_fails_is_nobodys_fault(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """pip says no more of it than of a package that does not exist."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with index_server(lambda _: (status, b"")) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        with pytest.raises(InfraFault, match="cannot be fetched"):
            learner.environment("tiny==1.0\n")


@pytest.mark.parametrize("line", ["ConnectionPool", "ProxyError", "tiny===ConnectionPool(host="])
def test_a_name_cannot_pass_for_a_fault_of_the_network(learner: Learner, line: str) -> None:
    with pytest.raises(BadSubmission):
        learner.environment(f"{line}\n")


def test_an_index_that_never_ends_its_answer_is_nobodys_fault(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "WITHIN_S", 1.0)
    monkeypatch.delenv("PIP_NO_INDEX")
    released = threading.Event()

    def silent(_: str) -> tuple[int, bytes]:
        released.wait(60.0)
        return 200, b""

    with index_server(silent) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        try:
            with pytest.raises(InfraFault, match="cannot be fetched"):
                learner.environment("tiny==1.0\n")
        finally:
            released.set()


def test_an_index_that_does_not_answer_is_nobodys_fault(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(InfraFault, match="cannot be fetched"):
        learner.environment("nowhere==1.0\n")
