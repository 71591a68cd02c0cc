"""Which image nodes get: kind's own where it is or can be pulled, else one that was built."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from graders.clusters.binaries.catalog import machine_platform
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages import pulling
from graders.clusters.nodeimages.baseimages import GO, PYTHON
from graders.clusters.nodeimages.image import UPSTREAM, ensure_base_images, ensure_node_image, node_image
from graders.clusters.nodeimages.imagecache import KEY_LABEL, Built
from graders.faults import InfraFault
from graders.progress import Silent

HOST = "unix:///nowhere.sock"

DOCKER = """\
#!{python} -IS
import json, sys, time
from pathlib import Path
state = Path({state!r})
images = json.loads((state / "images.json").read_text())
words = sys.argv[3:]  # behind --host and the host
with (state / "asked").open("a") as asked:
    print(*words[:2], file=asked)
if words[:2] == ["image", "inspect"]:
    if words[-1] not in images:
        sys.exit("no such image")
    print(json.dumps(images[words[-1]] if "Labels" in words[3] else "sha256:0"))
elif words[0] == "pull":
    if (state / "silent").exists():
        time.sleep(60)
    if not (state / "registry").exists():
        sys.exit("first line\\nno such host")
    print("Pulling from", words[1])
    images[words[1]] = ""
    (state / "images.json").write_text(json.dumps(images))
elif words[0] == "load":
    loaded = sys.stdin.read().split()
    images[loaded[0]] = loaded[1]
    (state / "images.json").write_text(json.dumps(images))
"""


class Docker:
    """A program that plays docker: what it has, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.have({})

    def have(self, images: dict[str, str]) -> None:
        (self.folder / "images.json").write_text(json.dumps(images))

    def set(self, name: str) -> None:
        (self.folder / name).touch()

    @property
    def asked(self) -> list[str]:
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []

    @property
    def pulls(self) -> int:
        return sum(line.startswith("pull") for line in self.asked)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    import sys

    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(python=sys.executable, state=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    return Docker(tmp_path)


@pytest.fixture
def own() -> Built:
    return node_image(machine_platform())


def put_into_cache(image: Built) -> None:
    """An archive that, loaded, is the image."""
    import subprocess

    image.archive.parent.mkdir(parents=True, exist_ok=True)
    command = ["zstd", "-q", "-o", str(image.archive)]
    subprocess.run(command, input=f"{image.reference} {image.key}".encode(), check=True)


def test_kinds_own_image_is_taken_if_the_engine_has_it(docker: Docker, own: Built) -> None:
    docker.have({UPSTREAM: "", own.reference: own.key})
    assert ensure_node_image(HOST, Silent()) == UPSTREAM
    assert docker.pulls == 0


def test_kinds_own_image_is_pulled_where_a_registry_answers(docker: Docker) -> None:
    docker.set("registry")
    assert ensure_node_image(HOST, Silent()) == UPSTREAM
    assert docker.pulls == 1


def test_one_that_was_built_is_taken_without_asking_a_registry_again(docker: Docker, own: Built) -> None:
    docker.have({own.reference: own.key})
    assert ensure_node_image(HOST, Silent()) == own.reference
    assert docker.pulls == 0


def test_where_no_registry_answers_the_one_in_the_cache_is_loaded(docker: Docker, own: Built) -> None:
    put_into_cache(own)
    progress = Silent()
    assert ensure_node_image(HOST, progress) == own.reference
    assert any("cannot be pulled (no such host); one is made here" in line for line in progress.said)


def test_an_archive_that_holds_something_else_is_told(docker: Docker, own: Built) -> None:
    import dataclasses

    put_into_cache(dataclasses.replace(own, reference="somebody/else:1"))
    own.archive.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(InfraFault, match="does not hold the image"):
        ensure_node_image(HOST, Silent())


def test_a_registry_that_says_nothing_is_given_up(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_ANSWERS_WITHIN_S", 0.3)
    docker.set("silent")
    assert pulling.pull(Engine(HOST), UPSTREAM, Silent()) == "its registry does not answer"


def test_only_the_base_images_that_are_wanted_are_had(docker: Docker) -> None:
    python = PYTHON.built(machine_platform())
    put_into_cache(python)
    names = {PYTHON.reference: PYTHON.reference}
    assert ensure_base_images(HOST, Silent(), wanted=[PYTHON.reference]) == names
    assert docker.pulls == 0
    assert json.loads((docker.folder / "images.json").read_text()) == {PYTHON.reference: python.key}
    assert GO.reference == "kubeproof/go:1.27"
    assert KEY_LABEL == "kubeproof.key"
