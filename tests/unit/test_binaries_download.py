"""Release downloads: from a real server on loopback, checked against what its project publishes."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from graders.clusters.binaries import catalog
from graders.clusters.binaries.ensure import ensure_binaries, find_binaries
from graders.faults import InfraFault
from graders.progress import Silent
from graders.tools import Sources
from graders.tools.ensure import store_of
from graders.tools.release import Servers

PROGRAMS = {program: f"#!/bin/sh\necho {program}\n".encode() for program in (*catalog.CORE, "kwokctl")}
TARGET = catalog.machine_platform()
KUBERNETES = f"/{catalog.KUBERNETES}/bin/linux/{TARGET.arch}"
ETCD = f"/etcd-io/etcd/releases/download/{catalog.ETCD}"
KWOK = f"/kubernetes-sigs/kwok/releases/download/{catalog.KWOK}"
LISTING = f"/repos/kubernetes-sigs/kwok/releases/tags/{catalog.KWOK}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def etcd_archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        header = tarfile.TarInfo(f"etcd-{catalog.ETCD}-{TARGET}/etcd")
        header.size = len(PROGRAMS["etcd"])
        tar.addfile(header, io.BytesIO(PROGRAMS["etcd"]))
    return packed.getvalue()


def releases() -> dict[str, bytes]:
    """All that the three projects publish, by path."""
    archive, name = etcd_archive(), f"etcd-{catalog.ETCD}-{TARGET}.tar.gz"
    files = {
        f"{ETCD}/{name}": archive,
        f"{ETCD}/SHA256SUMS": f"{'0' * 64}  other\n{sha256(archive)}  {name}\n".encode(),
    }
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        files[f"{KUBERNETES}/{program}"] = PROGRAMS[program]
        files[f"{KUBERNETES}/{program}.sha256"] = sha256(PROGRAMS[program]).encode()
    assets = []
    for program in ("kwok", "kwokctl"):
        files[f"{KWOK}/{program}-{TARGET}"] = PROGRAMS[program]
        assets.append({"name": f"{program}-{TARGET}", "digest": f"sha256:{sha256(PROGRAMS[program])}"})
    files[LISTING] = json.dumps({"assets": assets}).encode()
    return files


@contextmanager
def serving(files: Mapping[str, bytes], asked: list[str] | None = None) -> Iterator[Servers]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            yield Servers(kubernetes=url, github=url, github_api=url)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEPROOF_BINARIES", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def no_go(tmp_path: Path) -> Path:
    """A stand-in for the go command that always fails and says so: nothing may be built with it."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'the go command was run' >&2\nexit 1\n")
    go.chmod(0o755)
    return go


def test_programs_come_from_the_releases_and_stay_in_the_cache(tmp_path: Path) -> None:
    asked: list[str] = []
    with serving(releases(), asked) as servers:
        sources = Sources(servers, no_go(tmp_path))
        binaries = ensure_binaries(Silent(), sources=sources)
        assert {p: binaries.path(p).read_bytes() for p in catalog.CORE} == {
            p: PROGRAMS[p] for p in catalog.CORE
        }
        assert binaries.path("etcd").stat().st_mode & 0o777 == 0o755
        assert binaries.source == "cache: upstream release"

        asked.clear()
        assert ensure_binaries(Silent(), sources=sources) == binaries
        assert asked == []
    assert find_binaries() == binaries


@pytest.mark.skipif(find_spec("socksio") is not None, reason="this httpx speaks SOCKS")
def test_a_proxy_that_no_download_can_take_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no bug of ours: the programs are built instead."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    progress = Silent()
    with serving(releases()) as servers, pytest.raises(InfraFault, match="the go command was run"):
        ensure_binaries(progress, sources=Sources(servers, no_go(tmp_path)))
    assert any("SOCKS proxy, which ALL_PROXY names" in line for line in progress.said)


def test_kwokctl_comes_only_when_it_is_wanted(tmp_path: Path) -> None:
    with serving(releases()) as servers:
        sources = Sources(servers, no_go(tmp_path))
        binaries = ensure_binaries(Silent(), sources=sources)
        with pytest.raises(InfraFault, match=r"kwokctl is missing\n  fix: run `kubeproof setup`"):
            binaries.path("kwokctl")
        binaries = ensure_binaries(Silent(), extra=("kwokctl",), sources=sources)
        assert binaries.path("kwokctl").read_bytes() == PROGRAMS["kwokctl"]


@pytest.mark.parametrize(
    "path",
    [f"{KUBERNETES}/kube-scheduler", f"{ETCD}/etcd-{catalog.ETCD}-{TARGET}.tar.gz", f"{KWOK}/kwok-{TARGET}"],
)
def test_a_download_that_is_not_what_was_published_is_refused_loudly(path: str, tmp_path: Path) -> None:
    files = releases()
    files[path] += b"and a surprise"
    with (
        serving(files) as servers,
        pytest.raises(InfraFault, match=r"does not match its published checksum.*\n  fix: "),
    ):
        ensure_binaries(Silent(), sources=Sources(servers, no_go(tmp_path)))
    program = path.rsplit("/", 1)[1].split("-v", maxsplit=1)[0].removesuffix(f"-{TARGET}")
    store = store_of(catalog.CONTROL_PLANE)
    assert program in store.missing(catalog.CORE)
    assert not (store.folder / program).exists()
    assert list(store.folder.glob(".making-*")) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (f"{KUBERNETES}/kube-apiserver.sha256", b"<html>log in to the network</html>"),
        (f"{ETCD}/SHA256SUMS", b""),
        (LISTING, b'{"assets": [{"name": "kwok-linux-amd64"}, {"name": "kwok-linux-arm64"}]}'),
        (LISTING, b"not json"),
        (f"{KWOK}/kwok-{TARGET}", None),
    ],
)
def test_what_has_no_published_checksum_or_no_file_is_built(
    path: str, content: bytes | None, tmp_path: Path
) -> None:
    files = releases()
    if content is None:
        del files[path]
    else:
        files[path] = content
    progress = Silent()
    with serving(files) as servers, pytest.raises(InfraFault, match="the go command was run"):
        ensure_binaries(progress, sources=Sources(servers, no_go(tmp_path)))
    assert any(line.startswith("no release download of ") for line in progress.said)
    assert "fetching Go modules" in progress.said


def test_a_closed_network_is_named_and_then_everything_is_built(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    progress = Silent()
    sources = Sources(Servers(url, url, url), no_go(tmp_path))
    with pytest.raises(InfraFault, match=r"go list failed \(exit 1\)[^$]*setup --load FILE"):
        ensure_binaries(progress, sources=sources)
    refused = [line for line in progress.said if "ConnectError" in line]
    assert [line.split(":")[0] for line in refused] == [
        "no release download of etcd",
        "no release download of kube-apiserver, kube-controller-manager, kube-scheduler",
        "no release download of kwok",
    ]


def test_what_was_downloaded_before_an_interruption_is_kept(tmp_path: Path) -> None:
    files = releases()
    del files[LISTING]
    asked: list[str] = []
    with serving(files) as servers, pytest.raises(InfraFault):
        ensure_binaries(Silent(), sources=Sources(servers, no_go(tmp_path)))
    with serving(releases(), asked) as servers:
        ensure_binaries(Silent(), sources=Sources(servers, no_go(tmp_path)))
    assert sorted(asked) == [f"{KWOK}/kwok-{TARGET}", LISTING]


def test_a_program_that_was_cut_short_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving(releases()) as servers:
        sources = Sources(servers, no_go(tmp_path))
        binaries = ensure_binaries(Silent(), sources=sources)
        binaries.path("kwok").write_bytes(b"#!")
        assert find_binaries() is None
        assert ensure_binaries(Silent(), sources=sources).path("kwok").read_bytes() == PROGRAMS["kwok"]
