"""`setup --save` and `--load`: an archive is believed only as far as it matches its own checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.binaries import catalog
from graders.clusters.binaries.archive import load_archive, save_archive
from graders.clusters.binaries.store import Store
from graders.faults import InfraFault, UsageError
from graders.progress import Silent

TARGET = catalog.machine_platform()
Edit = Callable[[dict[str, Any], list[tuple[tarfile.TarInfo, bytes]]], None]


@pytest.fixture
def full(tmp_path: Path) -> Store:
    store = Store(tmp_path / "full", TARGET)
    store.folder.mkdir()
    for program in catalog.CORE:
        file = tmp_path / program
        file.write_text(f"#!/bin/sh\necho {program}\n")
        store.adopt(program, file, "build")
    return store


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(tmp_path / "empty", TARGET)


def regular(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header, content


def crafted(file: Path, edit: Edit) -> Path:
    """An archive that is right in all but what `edit` changes in its manifest and members."""
    contents = {program: f"#!/bin/sh\necho {program}\n".encode() for program in catalog.CORE}
    entries = {
        program: {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "origin": "build",
        }
        for program, content in contents.items()
    }
    manifest: dict[str, Any] = {
        "schema": "kubeproof/binaries/v1",
        "platform": str(TARGET),
        "versions": dict(catalog.VERSIONS),
        "files": entries,
    }
    members = [regular(f"bin/{program}", content) for program, content in contents.items()]
    edit(manifest, members)
    with tarfile.open(file, "w:gz") as tar:
        for header, content in [regular("manifest.json", json.dumps(manifest).encode()), *members]:
            tar.addfile(header, io.BytesIO(content))
    return file


def test_what_was_saved_can_be_loaded(full: Store, empty: Store, tmp_path: Path) -> None:
    save_archive(full, tmp_path / "archive", Silent())
    load_archive(empty, tmp_path / "archive", Silent())
    assert empty.missing(catalog.CORE) == ()
    for program in catalog.CORE:
        assert (empty.folder / program).read_bytes() == (full.folder / program).read_bytes()
        assert (empty.folder / program).stat().st_mode & 0o777 == 0o755
    assert empty.binaries().source == "cache: archive"
    assert sorted(p.name for p in empty.folder.iterdir()) == sorted([*catalog.CORE, "manifest.json"])


def test_an_archive_says_nothing_about_who_made_it(full: Store, tmp_path: Path) -> None:
    save_archive(full, tmp_path / "archive", Silent())
    with tarfile.open(tmp_path / "archive") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == ["manifest.json", *(f"bin/{program}" for program in catalog.CORE)]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}


def test_a_program_that_changed_in_the_cache_is_not_passed_on(full: Store, tmp_path: Path) -> None:
    (full.folder / "etcd").write_text("#!/bin/sh\necho evil\n")
    with pytest.raises(InfraFault, match=r"etcd has changed since .*\n  fix: remove "):
        save_archive(full, tmp_path / "archive", Silent())
    assert not (tmp_path / "archive").exists()


def test_a_place_that_cannot_be_written_is_named(full: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/archive cannot be written: .*\n  fix: name another file"):
        save_archive(full, tmp_path / "nowhere" / "archive", Silent())


def _other_bytes(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    header, content = members[1]
    members[1] = (header, content[:-1] + b"!")


def _longer(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[1] = regular(members[1][0].name, members[1][1] + b"more")


def _traversal(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.append(regular("bin/../../../escaped", b"out"))


def _listed_traversal(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    manifest["files"]["../../escaped"] = dict(manifest["files"]["etcd"])
    members.append(regular("bin/../../escaped", members[0][1]))


def _absolute(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.insert(0, regular("/etc/escaped", b"out"))


def _manifest_as_program(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    manifest["files"]["manifest.json"] = dict(manifest["files"]["etcd"])
    members.append(regular("bin/manifest.json", members[0][1]))


def _link(kind: bytes) -> Edit:
    def edit(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        header = tarfile.TarInfo(members[0][0].name)
        header.type, header.linkname = kind, "/etc/passwd"
        members[0] = (header, b"")

    return edit


def _twice(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.append(members[0])


def _member_absent(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members.pop()


def _program_absent(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    del manifest["files"]["kwok"]
    members.pop()


def _set(key: str, value: object) -> Edit:
    return lambda manifest, members: manifest.__setitem__(key, value)


def _huge(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    manifest["files"]["etcd"]["size_bytes"] = 1 << 50


def _other_version(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    manifest["versions"]["kubernetes"] = "v1.30.0"


def _endless_header(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    header, content = regular("pax", b"\0" * (8 << 20))
    header.type = tarfile.XHDTYPE
    members.insert(0, (header, content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_other_bytes, "bin/kube-apiserver does not match the checksum in manifest.json"),
        (_longer, "bin/kube-apiserver does not match the checksum in manifest.json"),
        (_traversal, "holds 'bin/../../../escaped', which its manifest.json does not allow there"),
        (_listed_traversal, "holds '../../escaped', which is no program of a cluster"),
        (_absolute, "holds '/etc/escaped', which its manifest.json does not allow there"),
        (_manifest_as_program, "holds 'manifest.json', which is no program of a cluster"),
        (_link(tarfile.SYMTYPE), "holds 'bin/etcd', which its manifest.json does not allow there"),
        (_link(tarfile.LNKTYPE), "holds 'bin/etcd', which its manifest.json does not allow there"),
        (_link(tarfile.CHRTYPE), "holds 'bin/etcd', which its manifest.json does not allow there"),
        (_twice, "holds 'bin/etcd', which its manifest.json does not allow there"),
        (_member_absent, "the archive ends before bin/kwok"),
        (_program_absent, "the archive lacks kwok"),
        (_huge, "is not of schema kubeproof/binaries/v1 (files.etcd.size_bytes"),
        (_set("schema", "kubeproof/binaries/v9"), "is not of schema kubeproof/binaries/v1 (schema"),
        (_set("surprise", 1), "is not of schema kubeproof/binaries/v1 (surprise"),
        (_set("platform", "linux-s390x"), f"holds programs for linux-s390x, and this is {TARGET}"),
        (_other_version, "kubernetes v1.30.0, kwok"),
        (_endless_header, "not a readable archive of binaries: a header in it is too long"),
    ],
)
def test_an_archive_that_is_not_what_it_says_changes_nothing(
    edit: Edit, message: str, empty: Store, tmp_path: Path
) -> None:
    archive = crafted(tmp_path / "archive", edit)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as refused:
        load_archive(empty, archive, Silent())
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{archive}: ")
    assert "fix: make it again with `kubeproof setup --save FILE`" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, empty.folder, empty.lock])
    assert empty.missing(catalog.CORE) == catalog.CORE


def test_an_archive_without_a_change_would_have_been_accepted(empty: Store, tmp_path: Path) -> None:
    load_archive(empty, crafted(tmp_path / "archive", lambda manifest, members: None), Silent())
    assert empty.missing(catalog.CORE) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip at all",
        gzip.compress(b"not tar at all" * 100, mtime=0),
        gzip.compress(b"\0" * (4 << 20), mtime=0),
        gzip.compress(b"\0" * 100_000, mtime=0)[:-20],
    ],
)
def test_a_file_that_is_no_archive_is_refused(content: bytes, empty: Store, tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"(not a readable archive|does not begin with manifest.json)"):
        load_archive(empty, file, Silent())


def test_a_chain_of_headers_does_not_exhaust_the_reader(empty: Store, tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    block = header.tobuf(tarfile.USTAR_FORMAT)
    file = tmp_path / "archive"
    file.write_bytes(gzip.compress(block * 20_000))
    with pytest.raises(UsageError, match="not a readable archive"):
        load_archive(empty, file, Silent())


def test_an_archive_that_is_not_there_is_named(empty: Store, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"nothing.tar.gz: not a readable archive of binaries: .*No such file"
    ):
        load_archive(empty, tmp_path / "nothing.tar.gz", Silent())
