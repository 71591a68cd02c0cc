"""Toolsets: what they are kept by, what they are pinned to, and one that nobody here knows of."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from graders.clusters.binaries.catalog import CONTROL_PLANE
from graders.clusters.kind.binary import KIND
from graders.clusters.nodeimages.programs import node_toolsets
from graders.faults import CourseError, InfraFault
from graders.paths import cache_folder
from graders.progress import Silent
from graders.tools import (
    Platform,
    Program,
    Project,
    Release,
    Sources,
    Toolset,
    ensure,
    find,
    machine_platform,
)
from graders.tools.release import published
from graders.tools.toolchain import kept_toolchain

TOOLSETS = (CONTROL_PLANE, KIND, *node_toolsets())
PROJECT = Project("tiny", "example.org/tiny", "v1.2.3")


@pytest.fixture
def own(tmp_path: Path) -> Toolset:
    """What a lab would have in its folder: a module without dependencies, and two programs of it."""
    folder = tmp_path / "tools"
    for name in ("hello", "bye"):
        (folder / "cmd" / name).mkdir(parents=True)
        (folder / "cmd" / name / "main.go").write_text(
            f'package main\n\nvar word = "{name}"\n\nfunc main() {{ println(word) }}\n'
        )
    (folder / "go.mod").write_text("module example.org/tiny\n\ngo 1.24\n")
    (folder / "go.sum").write_text("")
    programs = tuple(Program(name, PROJECT, f"cmd/{name}") for name in ("hello", "bye"))
    return Toolset("tiny", "tiny programs", folder, programs, {"main.word": "tiny"})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.mark.parametrize("toolset", TOOLSETS, ids=lambda toolset: toolset.name)
def test_versions_are_those_of_the_go_module(toolset: Toolset) -> None:
    text = (toolset.folder / "go.mod").read_text()
    pinned = dict(re.findall(r"(?m)^(?:\t|require )(\S+) (v\S+)", text))
    for program in toolset.programs:
        project = program.project
        if not project.module.startswith("kubeproof/"):
            assert pinned[project.module] == project.version


@pytest.mark.parametrize("toolset", TOOLSETS, ids=lambda toolset: toolset.name)
def test_the_go_module_pins_every_program(toolset: Toolset) -> None:
    imported = set(re.findall(r'_ "(\S+)"', (toolset.folder / "tools.go").read_text()))
    foreign = {each.import_path for each in toolset.programs if not each.import_path.startswith("kubeproof/")}
    assert foreign <= imported


@pytest.mark.parametrize("toolset", TOOLSETS, ids=lambda toolset: toolset.name)
def test_what_caches_hold_already_is_found_under_its_old_name(toolset: Toolset) -> None:
    sums = hashlib.sha256((toolset.folder / "go.sum").read_bytes()).hexdigest()[:12]
    versions = "-".join(f"{name}-{version}" for name, version in toolset.versions.items())
    assert toolset.key(Platform("linux", "arm64")) == f"{versions}-linux-arm64-{sums}"


def test_the_control_plane_is_named_by_its_three_projects() -> None:
    assert list(CONTROL_PLANE.versions) == ["kubernetes", "etcd", "kwok"]


def test_a_key_names_all_that_programs_are_made_from(own: Toolset) -> None:
    amd64 = Platform("linux", "amd64")
    keys = {own.key(amd64), own.key(Platform("linux", "arm64"))}
    keys |= {
        changed.key(amd64)
        for changed in (
            replace(own, variables={}),
            replace(own, tags=("no_zfs",)),
            replace(own, programs=own.programs[:1]),
            replace(own, programs=(Program("hello", replace(PROJECT, version="v2"), "cmd/hello"),)),
        )
    }
    for name, text in {"go.sum": "x", "go.mod": "y", "cmd/bye/main.go": "package main\n"}.items():
        (own.folder / name).write_text(text)
        keys.add(replace(own).key(amd64))
    (own.folder / "cmd/bye/main_test.go").write_text("package main\n")
    keys.add(replace(own).key(amd64))
    assert len(keys) == 9


def test_two_programs_of_one_file_name_are_refused(own: Toolset) -> None:
    other = Program("other", Project("o", "example.org/other", "v1"), "hello")
    with pytest.raises(CourseError, match=r"go.mod: tiny programs: two .* built as 'hello'\n  fix: put them"):
        replace(own, programs=(*own.programs, other))


def test_a_program_is_built_under_the_last_name_of_its_package_that_is_no_major_version() -> None:
    assert Program("a", Project("a", "go.example.org/server/v3", "v3.0.0")).built_as == "server"
    assert Program("a", Project("a", "example.org/a", "v1.0.0"), "cmd/vault").built_as == "vault"


@pytest.mark.cluster
def test_a_toolset_of_a_lab_is_built_once(
    own: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real toolchain, which stays where it is."""
    toolchain = kept_toolchain()
    if not toolchain.made():
        pytest.skip("there is no Go toolchain")
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    (cache_folder() / "toolchains").symlink_to(toolchain.root)
    assert find(own) is None
    first, second = Silent(), Silent()
    tools = ensure(own, first)
    for name in own.names:
        ran = subprocess.run([tools.path(name)], capture_output=True, check=True, timeout=60)
        assert ran.stderr == b"tiny\n"
    assert ensure(own, second) == tools == find(own)
    assert "building 2 programs from Go modules" in first.said
    assert second.said == []
    assert tools.folder.name == own.key(machine_platform())


@contextmanager
def serving(files: dict[str, bytes], asked: list[str], cut: str = "") -> Iterator[str]:
    """A server of `files`; it ends within the answer to `cut`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write((body or b"")[: -1 if self.path == cut else None])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


HELLO = b"#!/bin/sh\necho hello\n"
SUM = hashlib.sha256(HELLO).hexdigest()
ASSET = f"/tiny/1.2.3/hello-{machine_platform()}"


def released(own: Toolset, server: str, **fields: object) -> Toolset:
    """The first program alone, with a release on `server`."""
    release = Release(server + "/tiny/{bare}/{program}-{system}-{arch}")
    return replace(own, programs=(replace(own["hello"], release=replace(release, **fields)),))  # type: ignore[arg-type]


def no_go(folder: Path) -> Sources:
    go = folder / "go"
    go.write_text("#!/bin/sh\necho 'the go command was run' >&2\nexit 1\n")
    go.chmod(0o755)
    return Sources(go=go)


def test_a_release_with_a_pinned_checksum_is_downloaded_and_nothing_is_built(
    own: Toolset, cache: Path, tmp_path: Path
) -> None:
    asked: list[str] = []
    with serving({ASSET: HELLO}, asked) as server:
        toolset = released(own, server, sha256={str(machine_platform()): SUM})
        tools = ensure(toolset, Silent(), sources=no_go(tmp_path))
    assert (tools.path("hello").read_bytes(), tools.source) == (HELLO, "cache: upstream release")
    assert asked == [ASSET]


def test_a_pinned_checksum_goes_before_a_published_one(own: Toolset, cache: Path, tmp_path: Path) -> None:
    with serving({ASSET: b"other", "/sums": hashlib.sha256(b"other").hexdigest().encode()}, []) as server:
        toolset = released(own, server, sums=f"{server}/sums", sha256={str(machine_platform()): SUM})
        with pytest.raises(InfraFault, match="does not match its published checksum"):
            ensure(toolset, Silent(), sources=no_go(tmp_path))
    assert find(toolset) is None


@pytest.mark.parametrize(
    ("fields", "cut", "told"),
    [
        ({}, "", "tiny publishes no SHA-256 for"),
        ({"sha256": {"plan9-mips": SUM}}, "", "tiny publishes no SHA-256 for"),
        ({"sha256": {str(machine_platform()): SUM}}, ASSET, "RemoteProtocolError"),
    ],
)
def test_without_a_checksum_or_the_end_of_a_download_it_is_built(
    own: Toolset, cache: Path, tmp_path: Path, fields: dict[str, object], cut: str, told: str
) -> None:
    progress = Silent()
    with (
        serving({ASSET: HELLO}, [], cut) as server,
        pytest.raises(InfraFault, match=r"go list failed \(exit 1\):\n    the go command was run"),
    ):
        ensure(released(own, server, **fields), progress, sources=no_go(tmp_path))
    assert any(line.startswith("no release download of hello: ") and told in line for line in progress.said)
    assert list(cache.rglob("*hello*")) == []


@pytest.mark.parametrize(
    "text",
    [
        f"{SUM}\n",
        f"{SUM.upper()}  other-name\n",
        f"{'0' * 64}  other\n{SUM}  hello\n",
        f"{'0' * 64} *other\n{SUM} *hello\n",
        f'{{"assets": [{{"name": "other"}}, {{"name": "hello", "digest": "sha256:{SUM}"}}]}}',
    ],
)
def test_checksums_are_found_in_what_projects_publish(text: str) -> None:
    assert published(text, "hello") == SUM


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        f"{'0' * 64}  other\n{'1' * 64}  another\n",
        f"{SUM}ff  hello\n",
        '{"assets": [{"name": "hello", "digest": "md5:0"}]}',
        '{"assets": [1]}',
        "{",
    ],
)
def test_what_lists_no_checksum_of_a_file_gives_none(text: str) -> None:
    assert published(text, "hello") is None
