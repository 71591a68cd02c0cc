"""Images that are built here: archives that engines read, a cache by content, a file that carries them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.clusters.binaries.catalog import Platform
from graders.clusters.nodeimages.archive import Image, compressed, decompressed, pack_tree, write_image
from graders.clusters.nodeimages.carrying import load_images, save_images
from graders.clusters.nodeimages.image import built_images
from graders.clusters.nodeimages.imagecache import Built, ensure_archive, key_of
from graders.clusters.nodeimages.programs import own_versions
from graders.clusters.nodeimages.rootfs import copy_files
from graders.faults import UsageError
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
    assert len(own_versions()["own"]) == 12


def test_the_images_are_the_node_and_what_learners_build_on() -> None:
    names = {each.name: each.reference for each in built_images(TARGET)}
    assert names["python"] == "kubeproof/python:3.11"
    assert names["go"] == "kubeproof/go:1.27"
    assert names["node"].startswith("kubeproof/node:v1.")


def test_images_are_carried_from_one_cache_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = (image("node"), image("go", content=b"another"))
    for each in images:
        ensure_archive(each, Silent())
    save_images(images, TARGET, tmp_path / "file", Silent())
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "elsewhere"))
    load_images(images, TARGET, tmp_path / "file", Silent())
    assert [each.archive.read_bytes() for each in images] == [b"an image", b"another"]


def listed(files: dict[str, bytes], *change: bytes) -> dict[str, bytes]:
    """The files with one word of the manifest changed."""
    return {**files, "manifest.json": files["manifest.json"].replace(*change)}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: {"node": files["node"]}, "has no manifest.json"),
        (lambda files: {**files, "manifest.json": b"{}"}, "not of schema"),
        (lambda files: listed(files, b"amd64", b"s390x"), "for linux-s390x"),
        (lambda files: listed(files, KEY.encode(), b"f" * 12), "does not hold the image kubeproof/node:1"),
        (lambda files: {"manifest.json": files["manifest.json"]}, "does not hold the image kubeproof/node:1"),
        (lambda files: {**files, "node": b"another."}, "does not match the checksum"),
        (lambda files: {**files, "node": files["node"] + b"!"}, "does not match the checksum"),
    ],
)
def test_a_file_that_is_not_what_it_says_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[dict[str, bytes]], dict[str, bytes]],
    words: str,
) -> None:
    ensure_archive(image(), Silent())
    file = tmp_path / "file"
    save_images((image(),), TARGET, file, Silent())
    with zipfile.ZipFile(file) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in spoil(files).items():
            packed.writestr(name, content)
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(UsageError, match=words) as raised:
        load_images((image(),), TARGET, file, Silent())
    assert "kubeproof kind image" in str(raised.value)
    assert not image().archive.exists()


@pytest.mark.parametrize("content", [b"", b"PK" + bytes(100), None])
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="not a readable file of images"):
        load_images((image(),), TARGET, file, Silent())


def test_files_keep_their_places_and_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr/lib/x.so.1.2").write_text("x")
    (root / "usr/lib/x.so.1").symlink_to("x.so.1.2")
    copy_files(root, ["/usr/lib/x.so.1", "/usr/lib/x.so.1.2"], tmp_path / "copy")
    assert (tmp_path / "copy/lib").is_symlink()
    assert (tmp_path / "copy/lib/x.so.1").read_text() == "x"
