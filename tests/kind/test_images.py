"""Learners' Dockerfiles in a real engine: what they get, what they may not take, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.images.bases import bases_for, offered
from graders.images.buildsession import BuildSession
from graders.images.buildspec import BuildLimits, BuiltImage
from graders.images.dockerfile import read_dockerfile
from graders.images.engine import BuildEngine
from graders.ownership import sweep
from graders.polling import NotYet, wait_for
from graders.progress import Silent

PYTHON = "kubeproof/python:3.11"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("KUBEPROOF_STATE", str(folder))
    return folder


class Yard:
    """Builds submissions and sees that nothing of them stays."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host = host
        self.folder = folder

    def build(self, dockerfile: str, *, files: dict[str, str] | None = None, **limits: float) -> BuiltImage:
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        for name, text in {"Dockerfile": textwrap.dedent(dockerfile), **(files or {})}.items():
            (root / name).write_text(text)
        read = read_dockerfile(root, offered())
        scratch = self.folder / uuid.uuid4().hex
        bases = bases_for(root, read.bases, _no_go, scratch, Silent())
        with BuildSession(self.host, Silent()) as session:
            bounds = BuildLimits(**limits)  # type: ignore[arg-type]
            tag, built = session.build("submission", root, read, bases, bounds)
            assert (session.engine.image(tag) is not None) is (
                not built.problem or "adds over" in built.problem
            )
            label = session.label
        with BuildEngine(self.host) as engine:
            assert engine.images(label) == []
            assert engine.containers(label) == []
        return built


def _no_go() -> None:
    raise AssertionError("no Go here")


@pytest.fixture
def yard(python_image: str, docker_host: str, tmp_path: Path) -> Yard:
    assert python_image
    return Yard(docker_host, tmp_path)


def test_what_the_course_needs_is_there_and_nothing_else_is(yard: Yard) -> None:
    built = yard.build(
        f"""
        FROM {PYTHON} AS build
        COPY requirements.txt ./
        RUN pip install --no-cache-dir -r requirements.txt
        RUN python -c 'import kopf' && ls /sys/class/net && env && ls -la / && ulimit -a
        RUN ! test -e /var/run/docker.sock && ! ls /run/secrets
        FROM scratch
        COPY --from=build /etc/hostname /h
        USER 65532
        """,
        files={"requirements.txt": "kopf>=1.40\n"},
    )
    assert built.problem == ""
    assert "Requirement already satisfied: kopf" in built.printed
    assert "\nlo\n" in built.printed
    assert "\neth0\n" not in built.printed
    assert "PROXY=" not in built.printed.upper().replace("GOPROXY", "")


def test_what_only_this_submission_needs_is_there_as_well(yard: Yard) -> None:
    built = yard.build(
        f"""
        FROM {PYTHON}
        COPY requirements.txt ./
        RUN pip install --no-cache-dir -r requirements.txt
        RUN python -c 'import humanize, sys; print("humanize is in", humanize.__file__)'
        """,
        files={"requirements.txt": "kopf>=1.40\nhumanize==4.13.0\n"},
    )
    assert built.problem == "", built.printed
    assert "humanize is in /usr/local/lib/python3.11/submission-packages" in built.printed


def test_there_is_no_network(yard: Yard) -> None:
    built = yard.build(f"FROM {PYTHON}\nRUN pip install --retries 0 humanize==4.13.0\n")
    assert "returned a non-zero code: 1" in built.problem
    assert "No matching distribution" in built.printed
    built = yard.build(
        f"FROM {PYTHON}\nRUN python -c 'import socket; socket.create_connection((\"192.0.2.1\", 53), 3)'\n"
    )
    assert "Network is unreachable" in built.printed


@pytest.mark.parametrize(
    "line",
    [
        "FROM debian:12",
        f"FROM {PYTHON}\nADD https://example.com/x /",
        f"FROM {PYTHON}\nCOPY --from=debian / /",
    ],
)
def test_nothing_is_fetched_by_the_engine_either(yard: Yard, line: str) -> None:
    with pytest.raises(BadSubmission, match=r"^Dockerfile:\d: "):
        yard.build(line)


@pytest.mark.parametrize(
    ("step", "limits", "problem"),
    [
        ("yes", {"printed_bytes": MIB}, "it printed over 1 MiB"),
        ("sleep 300", {"wall_s": 3.0}, "it took longer than 3 s"),
        (
            "for i in $(seq 50); do dd if=/dev/zero of=/big$i bs=1M count=100; done",
            {"disk_bytes": 200 * MIB},
            "it wrote over 200 MiB",
        ),
        ("dd if=/dev/zero of=/big bs=1M count=100", {"file_bytes": 50 * MIB}, "non-zero code: 153"),
        ("dd if=/dev/zero of=/big bs=1M count=100", {"image_bytes": 50 * MIB}, "the image adds over 50 MiB"),
        ("python -c 'b\"x\" * (1 << 30)'", {"memory_bytes": 100 * MIB}, "non-zero code: 137"),
        (
            "sleep 2; for i in $(seq 300); do sleep 20 & done; wait",
            {"pids": 50},
            "non-zero code: 2",
        ),
    ],
    ids=["output", "time", "disk", "file", "image", "memory", "processes"],
)
def test_a_build_takes_no_more_than_it_may(
    yard: Yard, step: str, limits: dict[str, float], problem: str
) -> None:
    assert problem in yard.build(f"FROM {PYTHON}\nRUN {step}\n", **limits).problem


KILLED = """
import os, pathlib, sys, threading
from graders.images.buildspec import BuildLimits
from graders.images.dockerfile import read_dockerfile
from graders.images.buildsession import Bases, BuildSession
from graders.progress import Silent

root = pathlib.Path(sys.argv[1])
read = read_dockerfile(root, ("kubeproof/python:3.11",))
with BuildSession(sys.argv[2], Silent()) as shop:
    print(shop.label, flush=True)
    shop.build("killed", root, read, Bases({name: name for name in read.bases}), BuildLimits())
"""


def test_what_a_dead_run_left_goes_with_the_next(yard: Yard, tmp_path: Path, own_state: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {PYTHON}\nRUN true\nRUN sleep 120\n")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), yard.host], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    label = process.stdout.readline().strip()
    with BuildEngine(yard.host) as engine:

        def sleeping() -> None:
            if not any("sleep" in each.get("Command", "") for each in engine.containers(label)):
                raise NotYet("the step does not run")

        wait_for(sleeping, timeout_s=60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert engine.images(label)
        assert [name.partition("-")[0] for name in sweep()] == ["images"]
        assert engine.containers(label) == []
        assert engine.images(label) == []
