"""Upstream release downloads, each checked against the SHA-256 that its project publishes.

Kubernetes publishes a `.sha256` beside each program, etcd a `SHA256SUMS` beside its archives; kwok
publishes no file of sums, but its release listing has a digest for each asset.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from graders.clusters.binaries.catalog import ETCD, KIND, KUBERNETES, KWOK, Platform
from graders.clusters.binaries.store import CHUNK_BYTES, MAX_PROGRAM_BYTES
from graders.faults import InfraFault
from graders.progress import Progress

_CONNECT_S = 3.0
_READ_S = 20.0
_MAX_TEXT_BYTES = 4 << 20


class UnavailableError(Exception):
    """A release cannot be downloaded from here: no network, no such file, or no published checksum."""


@dataclass(frozen=True)
class Origin:
    """One project's release: how its files and their published checksums are found."""

    project: str
    programs: tuple[str, ...]
    url: Callable[[str], str]
    sums_url: Callable[[str], str]
    published: Callable[[str, str], str | None]
    """From the text of the sums and a program, its published SHA-256 in hex."""
    member: str | None = None
    """Where the download is an archive: the member that is the program."""


@dataclass(frozen=True)
class Releases:
    """The servers that hold the releases."""

    kubernetes: str = "https://dl.k8s.io"
    github: str = "https://github.com"
    github_api: str = "https://api.github.com"

    def origins(self, target: Platform) -> tuple[Origin, ...]:
        """The three projects' releases for `target`."""
        kubernetes = f"{self.kubernetes}/{KUBERNETES}/bin/{target.system}/{target.arch}"
        etcd = f"{self.github}/etcd-io/etcd/releases/download/{ETCD}"
        etcd_name = f"etcd-{ETCD}-{target}"
        kwok = f"{self.github}/kubernetes-sigs/kwok/releases/download/{KWOK}"
        listing = f"{self.github_api}/repos/kubernetes-sigs/kwok/releases/tags/{KWOK}"
        return (
            Origin(
                f"etcd {ETCD}",
                ("etcd",),
                lambda _program: f"{etcd}/{etcd_name}.tar.gz",
                lambda _program: f"{etcd}/SHA256SUMS",
                lambda sums, _program: _sums(sums).get(f"{etcd_name}.tar.gz"),
                member=f"{etcd_name}/etcd",
            ),
            Origin(
                f"Kubernetes {KUBERNETES}",
                ("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
                lambda program: f"{kubernetes}/{program}",
                lambda program: f"{kubernetes}/{program}.sha256",
                lambda sums, _program: _sum(sums),
            ),
            Origin(
                f"kwok {KWOK}",
                ("kwok", "kwokctl"),
                lambda program: f"{kwok}/{program}-{target}",
                lambda _program: listing,
                lambda sums, program: _digest(sums, f"{program}-{target}"),
            ),
        )

    def kind(self, target: Platform) -> Origin:
        """The release of kind for `target`."""
        program = f"{self.github}/kubernetes-sigs/kind/releases/download/{KIND}/kind-{target}"
        return Origin(
            f"kind {KIND}",
            ("kind",),
            lambda _program: program,
            lambda _program: f"{program}.sha256sum",
            lambda sums, _program: _sum(sums),
        )


def fetch(origin: Origin, program: str, scratch: Path, progress: Progress) -> Path:
    """Download `program` into `scratch` and check it.

    Raises:
        UnavailableError: it cannot be downloaded and checked; building it is the other way.
        InfraFault: it came, and is not what its project published.
    """
    url = origin.url(program)
    with _client() as client:
        expected = origin.published(_text(client, origin.sums_url(program)), program)
        if expected is None:
            raise UnavailableError(f"{origin.project} publishes no SHA-256 for {url}")
        file = scratch / f"{program}.download"
        with progress.task(f"downloading {program} ({origin.project})") as task:
            found = _download(client, url, file, lambda done, total: task.update(done=done, total=total))
    if found != expected:
        file.unlink()
        raise InfraFault(
            f"{url} does not match its published checksum: SHA-256 {found}, published {expected}",
            fix="something between here and there changes downloads: try another network, or carry the "
            "binaries over with `kubeproof setup --save FILE` and `--load FILE`",
        )
    return file if origin.member is None else _extract(file, origin.member, scratch / program)


@contextmanager
def _client() -> Iterator[httpx.Client]:
    """An HTTP client whose transport and status errors mean `UnavailableError`."""
    headers = {"Accept-Encoding": "identity"}
    timeout = httpx.Timeout(_READ_S, connect=_CONNECT_S)
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers) as client:
            yield client
    except httpx.HTTPStatusError as error:
        raise UnavailableError(f"{error.request.url} answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
    except ImportError as error:
        # What httpx says when the environment names a SOCKS proxy.
        raise UnavailableError(
            f"no download goes through a SOCKS proxy, which ALL_PROXY names: {error}"
        ) from error


def _text(client: httpx.Client, url: str) -> str:
    body = bytearray()
    with client.stream("GET", url) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_TEXT_BYTES:
                raise UnavailableError(f"{url} is too long for a list of checksums")
    return body.decode("utf-8", "replace")


def _download(
    client: httpx.Client, url: str, file: Path, report: Callable[[float, float | None], None]
) -> str:
    """Write `url` to `file`; returns its SHA-256 in hex."""
    digest, done = hashlib.sha256(), 0
    with client.stream("GET", url) as response, file.open("wb") as stream:
        response.raise_for_status()
        length = response.headers.get("Content-Length", "")
        total = float(length) if length.isdecimal() else None
        for chunk in response.iter_bytes(CHUNK_BYTES):
            done += len(chunk)
            if done > MAX_PROGRAM_BYTES:
                raise UnavailableError(f"{url} is longer than any of the programs")
            digest.update(chunk)
            stream.write(chunk)
            report(done, total)
    return digest.hexdigest()


def _extract(archive: Path, member: str, target: Path) -> Path:
    """Take one file out of a checked archive."""
    with tarfile.open(archive) as opened:
        source = opened.extractfile(member)
        if source is None:
            raise InfraFault(f"{archive.name} has no file {member}", fix="report this to the course")
        with source, target.open("wb") as stream:
            shutil.copyfileobj(source, stream, CHUNK_BYTES)
    archive.unlink()
    return target


def _sum(text: str) -> str | None:
    found = re.match(r"\s*([0-9a-fA-F]{64})\b", text)
    return found.group(1).lower() if found else None


def _sums(text: str) -> Mapping[str, str]:
    """`sha256sum` lines, as a mapping from file name to hex."""
    return {name: digest.lower() for digest, name in re.findall(r"(?m)^([0-9a-fA-F]{64})\s+\*?(\S+)$", text)}


def _digest(text: str, asset: str) -> str | None:
    try:
        assets = json.loads(text)["assets"]
        digests = {entry["name"]: entry.get("digest") or "" for entry in assets}
    except (ValueError, KeyError, TypeError):
        return None
    kind, _, digest = digests.get(asset, "").partition(":")
    return _sum(digest) if kind == "sha256" else None
