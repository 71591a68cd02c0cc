"""Upstream release downloads, each checked against the SHA-256 that is pinned or published."""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from graders.faults import InfraFault
from graders.progress import Progress
from graders.tools.catalogue import Program
from graders.tools.platforms import Platform
from graders.tools.store import CHUNK_BYTES, MAX_PROGRAM_BYTES

_CONNECT_S = 3.0
_READ_S = 20.0
_MAX_TEXT_BYTES = 4 << 20
_SUM = r"([0-9a-fA-F]{64})\b"


class UnavailableError(Exception):
    """A release cannot be downloaded from here: no network, no such file, or no published checksum."""


@dataclass(frozen=True)
class Servers:
    """The servers that templates of releases name."""

    kubernetes: str = "https://dl.k8s.io"
    github: str = "https://github.com"
    github_api: str = "https://api.github.com"


def fetch(program: Program, target: Platform, servers: Servers, scratch: Path, progress: Progress) -> Path:
    """Download `program` into `scratch` and check it.

    Raises:
        UnavailableError: it cannot be downloaded and checked; building it is the other way.
        InfraFault: it came, and is not what its project published.
    """
    release, project = program.release, program.project
    assert release is not None
    words = {**asdict(servers), **asdict(target), "program": program.name, "version": project.version}
    words["bare"] = project.version.removeprefix("v")
    url = release.url.format(**words)
    with _client() as client:
        expected = release.sha256.get(str(target))
        if expected is None and release.sums:
            expected = published(_text(client, release.sums.format(**words)), url.rpartition("/")[2])
        if expected is None:
            raise UnavailableError(f"{project.name} publishes no SHA-256 for {url}")
        file = scratch / f"{program.name}.download"
        title = f"downloading {program.name} ({project.name} {project.version})"
        with progress.task(title) as task:
            found = _download(client, url, file, lambda done, total: task.update(done=done, total=total))
    if found != expected:
        file.unlink()
        raise InfraFault(
            f"{url} does not match its published checksum: SHA-256 {found}, published {expected}",
            fix="something between here and there changes downloads: try another network, or carry the "
            "programs over with `kubeproof setup --save FILE` and `--load FILE`",
        )
    member = release.member.format(**words)
    return _extract(file, member, scratch / program.name) if member else file


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
        source = opened.extractfile(member) if member in opened.getnames() else None
        if source is None:
            raise InfraFault(f"{archive.name} has no file {member}", fix="report this to the course")
        with source, target.open("wb") as stream:
            shutil.copyfileobj(source, stream, CHUNK_BYTES)
    archive.unlink()
    return target


def published(text: str, file: str) -> str | None:
    """The SHA-256 of `file` in hex, from a list of sums, a sum alone, or GitHub's listing of a release."""
    if text.lstrip().startswith("{"):
        return _listed(text, file)
    sums = dict(re.findall(rf"(?m)^\s*{_SUM}[ \t]*\*?(\S*)", text))
    found = next((digest for digest, name in sums.items() if name == file), None)
    alone = next(iter(sums)) if len(sums) == 1 else None
    return (found or alone or "").lower() or None


def _listed(text: str, file: str) -> str | None:
    try:
        digests = {entry["name"]: entry.get("digest") or "" for entry in json.loads(text)["assets"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    found = re.fullmatch(rf"sha256:{_SUM}", digests.get(file, ""))
    return found[1].lower() if found else None
