"""Kyverno's command line: found, downloaded or built like the programs of a cluster, and apart from them."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graders.clusters.binaries import catalog
from graders.clusters.binaries.archive import load_archive, save_archive
from graders.clusters.binaries.build import GoModule
from graders.clusters.binaries.ensure import (
    POLICY_MODULE,
    Sources,
    ensure_kyverno,
    policy_store_for,
    store_for,
)
from graders.clusters.binaries.release import Releases
from graders.clusters.binaries.store import Store
from graders.faults import InfraFault, UsageError
from graders.progress import Silent

TARGET = catalog.machine_platform()
PROGRAM = b"#!/bin/sh\necho kyverno\n"
GO = """#!/bin/sh
echo "$@" >>"{log}"
case $1 in
list) echo one ;;
build)
    while [ "$1" != -o ]; do shift; done
    echo built >"$2/kubectl-kyverno"
    ;;
esac
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEPROOF_BINARIES", raising=False)


def sources(folder: Path, url: str = "") -> Sources:
    """A server of releases (none answers without `url`), and a script that plays the go command."""
    if not url:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    go = folder / "go"
    go.write_text(GO.format(log=folder / "log"))
    go.chmod(0o755)
    module = GoModule(POLICY_MODULE.folder, POLICY_MODULE.packages, POLICY_MODULE.variables, go=go)
    return Sources(Releases(url, url, url), policy_module=module)


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def release(*, sum_of: bytes | None = None) -> dict[str, bytes]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        header = tarfile.TarInfo("kyverno")
        header.size = len(PROGRAM)
        tar.addfile(header, io.BytesIO(PROGRAM))
    arch = {"amd64": "x86_64"}.get(TARGET.arch, TARGET.arch)
    name = f"kyverno-cli_{catalog.KYVERNO}_linux_{arch}.tar.gz"
    root = f"/kyverno/kyverno/releases/download/{catalog.KYVERNO}"
    published = hashlib.sha256(sum_of or packed.getvalue()).hexdigest()
    return {
        f"{root}/{name}": packed.getvalue(),
        f"{root}/checksums.txt": f"{published}  {name}\n".encode(),
    }


def test_it_is_taken_from_a_named_folder_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kyverno"
    program.write_bytes(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(tmp_path))
    assert ensure_kyverno(Silent()) == program


def test_a_named_folder_without_it_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(tmp_path))
    assert ensure_kyverno(Silent(), sources=sources(tmp_path)).read_text() == "built\n"


def test_a_release_is_downloaded_and_checked(tmp_path: Path) -> None:
    with serving(release()) as url:
        program = ensure_kyverno(Silent(), sources=sources(tmp_path, url))
    assert program.read_bytes() == PROGRAM
    assert not (tmp_path / "log").exists()


def test_a_release_that_is_not_what_was_published_is_refused(tmp_path: Path) -> None:
    with (
        serving(release(sum_of=b"other")) as url,
        pytest.raises(InfraFault, match=r"does not match its published checksum"),
    ):
        ensure_kyverno(Silent(), sources=sources(tmp_path, url))


def test_without_a_release_it_is_built_once_from_its_own_module(tmp_path: Path) -> None:
    own = sources(tmp_path)
    program = ensure_kyverno(Silent(), sources=own)
    assert ensure_kyverno(Silent(), sources=own) == program
    assert program.read_text() == "built\n"
    calls = (tmp_path / "log").read_text()
    assert calls.count("build -v") == 1
    assert f"-X github.com/kyverno/kyverno/pkg/version.BuildVersion={catalog.KYVERNO}" in calls
    assert "k8s.io/component-base" not in calls


def test_its_version_is_the_one_that_the_module_pins() -> None:
    pinned = (catalog.POLICY_ENGINE / "go.mod").read_text()
    assert f"github.com/kyverno/kyverno {catalog.KYVERNO}\n" in pinned


@pytest.fixture
def cluster_programs(tmp_path: Path) -> Store:
    store = store_for(TARGET, GoModule())
    store.folder.mkdir(parents=True)
    for program in catalog.CORE:
        file = tmp_path / program
        file.write_text(f"#!/bin/sh\necho {program}\n")
        store.adopt(program, file, "build")
    return store


def test_an_archive_carries_it_along(tmp_path: Path, cluster_programs: Store) -> None:
    program = ensure_kyverno(Silent(), sources=sources(tmp_path))
    save_archive(cluster_programs, tmp_path / "archive", Silent(), engine=policy_store_for(TARGET))
    other = Store(tmp_path / "other", TARGET)
    engine = Store(tmp_path / "engine", TARGET, catalog.KYVERNO_VERSIONS)
    load_archive(other, tmp_path / "archive", Silent(), engine=engine)
    assert other.missing(catalog.CORE) == engine.missing(["kyverno"]) == ()
    assert (engine.folder / "kyverno").read_bytes() == program.read_bytes()
    assert not (other.folder / "kyverno").exists()


def test_an_archive_made_without_it_can_be_loaded(tmp_path: Path, cluster_programs: Store) -> None:
    engine = policy_store_for(TARGET)
    save_archive(cluster_programs, tmp_path / "archive", Silent(), engine=engine)
    load_archive(Store(tmp_path / "other", TARGET), tmp_path / "archive", Silent(), engine=engine)
    assert engine.missing(["kyverno"]) == ("kyverno",)


def test_an_archive_with_another_version_of_it_is_refused(
    tmp_path: Path, cluster_programs: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_kyverno(Silent(), sources=sources(tmp_path))
    engine = policy_store_for(TARGET)
    save_archive(cluster_programs, tmp_path / "archive", Silent(), engine=engine)
    monkeypatch.setattr("graders.clusters.binaries.archive.KYVERNO_VERSIONS", {"kyverno": "v9.9.9"})
    with pytest.raises(UsageError, match=rf"kyverno {catalog.KYVERNO}.* needed are .*kyverno v9\.9\.9"):
        load_archive(Store(tmp_path / "other", TARGET), tmp_path / "archive", Silent(), engine=engine)
