"""`setup --save` and `--load`: an archive is believed only as far as it matches its own checksums."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.binaries.catalog import CONTROL_PLANE, CORE
from graders.clusters.nodeimages.imagecache import Built, ensure_archive
from graders.faults import InfraFault, UsageError
from graders.paths import cache_folder
from graders.progress import Progress, Silent
from graders.sandbox.runtime import ensure_runtime, kept_runtime
from graders.tools.archive import load_archive, save_archive
from graders.tools.ensure import find, kept_programs, store_of
from graders.tools.kept import Kept
from graders.tools.platforms import machine_platform

Members = list[tuple[zipfile.ZipInfo, bytes]]
Edit = Callable[[dict[str, Any], Members], None]
FILES = {"tree-1/bin/run": b"#!/bin/sh\n", "tree-1/lib/deep/er.txt": b"text", "tree-1/stamp": b""}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, the cache is another one."""
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "elsewhere"))


def tree(key: str = "k1", *, bound: bool = False) -> Kept:
    root = cache_folder() / "trees"
    return Kept("tree", key, root, ("tree-1",), "tree-1/stamp", bound=bound)


def fill(kept: Kept) -> Kept:
    for name, content in FILES.items():
        file = kept.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if content.startswith(b"#!") else 0o600)
        os.utime(file, (1_600_000_000, 1_600_000_000))
    return kept


def programs() -> Kept:
    """The control plane in the cache, each program a script."""
    store = store_of(CONTROL_PLANE)
    store.folder.mkdir(parents=True)
    for program in CORE:
        file = store.folder / f".{program}"
        file.write_text(f"#!/bin/sh\necho {program}\n")
        store.adopt(program, file, "build")
    return kept_programs(CONTROL_PLANE, CORE)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_what_was_saved_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert save_archive(tmp_path / "archive", [programs(), fill(tree())], Silent()) == (
        "control-plane binaries",
        "tree",
    )
    before = everything(cache_folder())
    elsewhere(tmp_path, monkeypatch)
    things = [kept_programs(CONTROL_PLANE, CORE), tree()]
    assert load_archive(tmp_path / "archive", things, Silent()) == ("control-plane binaries", "tree")
    after = everything(cache_folder())
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    assert after["trees/tree-1/bin/run"][1] == 0o755
    assert (cache_folder() / "trees/tree-1/bin/run").stat().st_mtime == 1_600_000_000
    assert find(CONTROL_PLANE, only=CORE) is not None
    assert not (cache_folder() / "loading").exists()


def test_what_is_here_already_stays(tmp_path: Path) -> None:
    save_archive(tmp_path / "archive", [fill(tree())], Silent())
    mine = tree().root / "tree-1/lib/mine"
    mine.write_text("mine")
    assert load_archive(tmp_path / "archive", [tree()], Silent()) == ("tree",)
    assert mine.read_text() == "mine"


def test_only_what_is_complete_and_wanted_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert save_archive(tmp_path / "none", [kept_programs(CONTROL_PLANE)], Silent()) == ()
    save_archive(tmp_path / "archive", [fill(tree()), programs()], Silent())
    elsewhere(tmp_path, monkeypatch)
    assert load_archive(tmp_path / "archive", [kept_programs(CONTROL_PLANE, CORE)], Silent()) == (
        "control-plane binaries",
    )
    assert not tree().made()


def test_an_archive_says_nothing_about_who_made_it(tmp_path: Path) -> None:
    save_archive(tmp_path / "archive", [fill(tree())], Silent())
    with zipfile.ZipFile(tmp_path / "archive") as packed:
        members = packed.infolist()
    assert [each.filename for each in members] == [*(f"tree/{name}" for name in FILES), "manifest.json"]
    assert {each.extra for each in members} == {b""}
    assert str(tmp_path).encode() not in (tmp_path / "archive").read_bytes()


def test_links_are_not_carried(tmp_path: Path) -> None:
    kept = fill(tree())
    (kept.root / "tree-1/link").symlink_to("/etc/passwd")
    (kept.root / "tree-1/folder").symlink_to("/etc")
    save_archive(tmp_path / "archive", [kept], Silent())
    with zipfile.ZipFile(tmp_path / "archive") as packed:
        assert len(packed.namelist()) == 1 + len(FILES)


def test_a_program_that_changed_in_the_cache_is_not_passed_on(tmp_path: Path) -> None:
    kept = programs()
    (store_of(CONTROL_PLANE).folder / "etcd").write_text("#!/bin/sh\necho evil\n")
    with pytest.raises(InfraFault, match=r"etcd has changed since .*\n  fix: remove "):
        save_archive(tmp_path / "archive", [kept], Silent())
    assert not (tmp_path / "archive").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/archive cannot be written: .*\n  fix: name another file"):
        save_archive(tmp_path / "nowhere" / "archive", [fill(tree())], Silent())


def test_what_names_its_own_place_is_passed_over_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_archive(tmp_path / "archive", [fill(tree("here", bound=True)), programs()], Silent())
    elsewhere(tmp_path, monkeypatch)
    progress = Silent()
    things = [tree("there", bound=True), kept_programs(CONTROL_PLANE, CORE)]
    assert load_archive(tmp_path / "archive", things, progress) == ("control-plane binaries",)
    assert "tree: passed over, for it is of use only where it was made" in progress.said
    assert not (cache_folder() / "trees").exists()


def test_an_image_is_carried_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(scratch: Path, progress: Progress) -> Path:
        (scratch / "made").write_bytes(b"an image")
        return scratch / "made"

    image = Built("node", "kubeproof/node:1", "0123456789ab", build)
    ensure_archive(image, Silent())
    save_archive(tmp_path / "archive", [image.kept], Silent())
    elsewhere(tmp_path, monkeypatch)
    assert load_archive(tmp_path / "archive", [image.kept], Silent()) == ("image node",)
    assert image.archive.read_bytes() == b"an image"


def test_a_learner_runtime_has_its_links_again(tmp_path: Path) -> None:
    lock = tmp_path / "learner-requirements.txt"
    lock.write_text("# nothing\n")
    runtime = ensure_runtime(Silent(), lock=lock)
    links = {path.name: path.readlink() for path in runtime.venv.rglob("*") if path.is_symlink()}
    save_archive(tmp_path / "archive", [kept_runtime(lock)], Silent())
    kept_runtime(lock).drop()
    assert load_archive(tmp_path / "archive", [kept_runtime(lock)], Silent()) == ("learner runtime",)
    assert {path.name: path.readlink() for path in runtime.venv.rglob("*") if path.is_symlink()} == links
    assert ensure_runtime(Silent(), lock=lock) == runtime
    assert subprocess.run([runtime.python, "-I", "-c", ""], check=True, timeout=60).returncode == 0


def member(
    name: str, content: bytes, mode: int = 0o644, comment: bytes = b"0"
) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.comment = (0o100000 | mode) << 16, comment
    return info, content


def listed(members: Members) -> dict[str, Any]:
    """The manifest that these members would have."""
    digest = hashlib.sha256()
    for info, content in members:
        name = info.filename.partition("/")[2]
        digest.update(f"{name}\0{bool(info.external_attr >> 16 & 0o100):d}\n".encode() + content)
    size = sum(len(content) for _, content in members)
    entry = {"name": "tree", "key": "k1", "size_bytes": size, "sha256": digest.hexdigest()}
    return {"schema": "kubeproof/archive/v1", "platform": str(machine_platform()), "things": [entry]}


def written(file: Path, manifest: dict[str, Any], members: Members) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for info, content in members:
            packed.writestr(info, content)
        if manifest:
            packed.writestr("manifest.json", json.dumps(manifest))
    return file


def right() -> Members:
    return [member(f"tree/{name}", each, 0o755 if b"#!" in each else 0o644) for name, each in FILES.items()]


def _other(content: bytes, mode: int = 0o644) -> Edit:
    """The second file is another than the manifest says."""
    return lambda manifest, members: members.__setitem__(1, member(members[1][0].filename, content, mode))


def _more(name: str, content: bytes = b"out", comment: bytes = b"0", mode: int = 0o644) -> Edit:
    """One more file of that name, which the manifest counts and digests."""

    def edit(manifest: dict[str, Any], members: Members) -> None:
        members.append(member(name, content, mode, comment))
        manifest.update(listed(members))

    return edit


def _uncounted(manifest: dict[str, Any], members: Members) -> None:
    members.append(member("tree/tree-1/more", b"out"))


def _one_less(manifest: dict[str, Any], members: Members) -> None:
    members.pop(1)


def _without_stamp(manifest: dict[str, Any], members: Members) -> None:
    members.pop()
    manifest.update(listed(members))


def _nothing_of_it(manifest: dict[str, Any], members: Members) -> None:
    members.clear()
    manifest.update(listed(members))


def _set(key: str, value: object) -> Edit:
    return lambda manifest, members: manifest.__setitem__(key, value)


def _entry(key: str, value: object) -> Edit:
    return lambda manifest, members: manifest["things"][0].__setitem__(key, value)


def _bomb(manifest: dict[str, Any], members: Members) -> None:
    members[1] = member(members[1][0].filename, b"\0" * (64 << 20))
    members[1][0].compress_type = zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_other(b"tex!"), "has a tree that does not match the checksum in its manifest.json"),
        (_other(b"text and more"), "has a tree that does not match the checksum in its manifest.json"),
        (_other(b"text", 0o755), "has a tree that does not match the checksum in its manifest.json"),
        (_bomb, "has a tree that does not match the checksum in its manifest.json"),
        (_uncounted, "has a tree that does not match the checksum in its manifest.json"),
        (_one_less, "has a tree that does not match the checksum in its manifest.json"),
        (_more("tree/tree-1/../../../escaped"), "holds 'tree/tree-1/../../../escaped', which its manifest"),
        (_more("tree/../escaped"), "holds 'tree/../escaped', which its manifest.json does not allow there"),
        (_more("/etc/escaped"), "holds '/etc/escaped', which its manifest.json does not allow there"),
        (_more("tree//etc/escaped"), "holds 'tree//etc/escaped', which its manifest.json does not allow"),
        (_more("other/tree-1/file"), "holds 'other/tree-1/file', which its manifest.json does not allow"),
        (_more("tree/tree-1/./stamp"), "holds 'tree/tree-1/./stamp', which its manifest.json does not"),
        (_more("tree/folder/", b""), "holds 'tree/folder/', which its manifest.json does not allow there"),
        (_more("tree"), "holds 'tree', which its manifest.json does not allow there"),
        (_more("surprise"), "holds 'surprise', which its manifest.json does not allow there"),
        (_more("tree/tree-1"), "the archive cannot be unpacked: "),
        (_more("tree/tree-1/stamp/file"), "the archive cannot be unpacked: "),
        (_more("tree/tree-1/when", comment=b""), "not a readable archive: "),
        (_more("tree/tree-1/when", comment=b"inf"), "not a readable archive: "),
        (_without_stamp, "does not have all of tree"),
        (_nothing_of_it, "does not have all of tree"),
        (lambda manifest, members: manifest.clear(), "has no manifest.json"),
        (_entry("size_bytes", 1 << 50), "is not of schema kubeproof/archive/v1 (things.0.size_bytes"),
        (_entry("name", "../tree"), "is not of schema kubeproof/archive/v1 (things.0.name"),
        (_entry("key", "k0"), "the archive holds tree as 'k0', and needed is 'k1'"),
        (_set("schema", "kubeproof/archive/v9"), "is not of schema kubeproof/archive/v1 (schema"),
        (_set("surprise", 1), "is not of schema kubeproof/archive/v1 (surprise"),
        (_set("surprise", "x" * (1 << 20)), "is not of schema kubeproof/archive/v1 ("),
        (_set("platform", "linux-s390x"), f"is for linux-s390x, and this is {machine_platform()}"),
    ],
)
def test_an_archive_that_is_not_what_it_says_changes_nothing(
    edit: Edit, message: str, tmp_path: Path
) -> None:
    members = right()
    manifest = listed(members)
    edit(manifest, members)
    archive = written(tmp_path / "archive", manifest, members)
    with pytest.raises(UsageError) as refused:
        load_archive(archive, [tree()], Silent())
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{archive}: ")
    assert "fix: make it again with `kubeproof setup --save FILE`" in str(refused.value)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"archive", "tree-1.lock"}
    assert not tree().made()


def test_an_archive_without_a_change_would_have_been_accepted(tmp_path: Path) -> None:
    archive = written(tmp_path / "archive", listed(right()), right())
    assert load_archive(archive, [tree()], Silent()) == ("tree",)
    assert {name: path.read_bytes() for name, path in tree().files().items()} == FILES


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o010644, 0o104755])
def test_whatever_a_file_says_it_is_it_becomes_a_plain_one(kind: int, tmp_path: Path) -> None:
    members = right()
    info, _ = members[1]
    info.external_attr = kind << 16
    load_archive(written(tmp_path / "archive", listed(members), members), [tree()], Silent())
    assert {stat.S_IFMT(path.lstat().st_mode) for path in tree().files().values()} == {stat.S_IFREG}
    assert {stat.S_IMODE(path.lstat().st_mode) for path in tree().files().values()} <= {0o755, 0o644}


def test_a_part_that_nobody_asked_for_does_not_stay(tmp_path: Path) -> None:
    members = [*right(), member("tree/other/file", b"x")]
    load_archive(written(tmp_path / "archive", listed(members), members), [tree()], Silent())
    assert not (tree().root / "other").exists()


def test_a_begun_folder_is_not_left_through_its_links(tmp_path: Path) -> None:
    def begin(content: Path) -> None:
        (content / "tree-1").mkdir()
        (content / "tree-1/stamp").symlink_to(tmp_path / "outside")

    kept = replace(tree(), begin=begin)
    load_archive(written(tmp_path / "archive", listed(right()), right()), [kept], Silent())
    assert not (tmp_path / "outside").exists()
    assert not (kept.root / "tree-1/stamp").is_symlink()


def test_damage_on_the_way_is_noticed(tmp_path: Path) -> None:
    archive = written(tmp_path / "archive", listed(right()), right())
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(UsageError, match=r"not a readable archive|does not match|does not allow"):
        load_archive(archive, [tree()], Silent())
    assert not tree().made()


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK" + bytes(100), b"PK\x05\x06" + b"\xff" * 18])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="not a readable archive"):
        load_archive(file, [tree()], Silent())


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.tar.gz: not a readable archive: .*No such file"):
        load_archive(tmp_path / "nothing.tar.gz", [tree()], Silent())


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    def full(content: Path) -> None:
        raise OSError(28, "No space left on device")

    archive = written(tmp_path / "archive", listed(right()), right())
    with pytest.raises(InfraFault, match="No space left on device"):
        load_archive(archive, [replace(tree(), begin=full)], Silent())
