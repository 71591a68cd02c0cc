"""Images that are built here: archives that engines read, and a cache by content."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from graders.clusters.binaries.catalog import Platform
from graders.clusters.nodeimages.archive import Image, compressed, decompressed, pack_tree, write_image
from graders.clusters.nodeimages.image import built_images
from graders.clusters.nodeimages.imagecache import Built, ensure_archive, key_of
from graders.clusters.nodeimages.programs import own_version
from graders.clusters.nodeimages.rootfs import copy_files
from graders.progress import Progress, Silent

TARGET = Platform("linux", "amd64")
KEY = "0123456789ab"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image(name: str = "node", key: str = KEY, content: bytes = b"an image") -> Built:
    def build(scratch: Path, progress: Progress) -> Path:
        progress.say(f"building {name}")
        made = scratch / "made"
        made.write_bytes(content)
        return made

    return Built(name, f"kubeproof/{name}:1", key, build)


def test_an_image_archive_is_what_engines_read(tmp_path: Path) -> None:
    tree, layer = tmp_path / "tree", tmp_path / "layer.tar"
    tree.mkdir()
    (tree / "hello").write_text("world")
    pack_tree(tree, layer)
    stream = io.BytesIO()
    described = Image("kubeproof/try:1", TARGET, {"A": "b"}, ("/hello",), (), {"k": "v"}, "SIGRTMIN+3")
    write_image(described, layer, stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == ["kubeproof/try:1"]
    configuration = json.loads(files[manifest["Config"]])
    assert manifest["Config"] == hashlib.sha256(files[manifest["Config"]]).hexdigest() + ".json"
    assert configuration["config"] == {
        "Env": ["A=b"],
        "Labels": {"k": "v"},
        "Entrypoint": ["/hello"],
        "StopSignal": "SIGRTMIN+3",
    }
    (packed,) = manifest["Layers"]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(files[packed]).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(files[packed])) as inner:
        assert "./hello" in inner.getnames()


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_archives_are_compressed_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "x.zst"
    with compressed(file) as stream:
        stream.write(b"0" * 100_000)
    assert file.stat().st_size < 1000
    with decompressed(file) as back:
        assert back.read() == b"0" * 100_000


def test_an_image_is_built_once_and_older_ones_go() -> None:
    progress = Silent()
    first = ensure_archive(image(key="a" * 12), progress)
    assert ensure_archive(image(key="a" * 12), progress) == first
    second = ensure_archive(image(key="b" * 12), progress)
    assert second.read_bytes() == b"an image"
    assert not first.exists()
    assert progress.said == ["building node", "building node"]


def test_a_new_image_leaves_those_of_other_names_alone() -> None:
    ensure_archive(image("node"), Silent())
    go = ensure_archive(image("go"), Silent())
    ensure_archive(image("node", "c" * 12), Silent())
    assert go.is_file()


def test_keys_name_contents(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    first = key_of(["x"], [file])
    file.write_text("b")
    assert len({first, key_of(["x"], [file]), key_of(["y"], [file])}) == 3
    assert len(own_version()) == 12


def test_the_images_are_the_node_and_what_learners_build_on() -> None:
    names = {each.name: each.reference for each in built_images(TARGET)}
    assert names["python"] == "kubeproof/python:3.11"
    assert names["go"] == "kubeproof/go:1.27"
    assert names["node"].startswith("kubeproof/node:v1.")


def test_files_keep_their_places_and_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr/lib/x.so.1.2").write_text("x")
    (root / "usr/lib/x.so.1").symlink_to("x.so.1.2")
    copy_files(root, ["/usr/lib/x.so.1", "/usr/lib/x.so.1.2"], tmp_path / "copy")
    assert (tmp_path / "copy/lib").is_symlink()
    assert (tmp_path / "copy/lib/x.so.1").read_text() == "x"
