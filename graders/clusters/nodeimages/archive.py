"""Writes container images as `docker load` and `ctr images import` read them, without an engine.

An image here is one layer, or one more layer on top of an archive's; nothing in it says when or where it was
made but the files themselves.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from graders.clusters.binaries.catalog import Platform
from graders.faults import InfraFault
from graders.process import kill_group, printed_by, spawn

_CHUNK_BYTES = 1 << 20
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Image:
    """What an image is besides its files; the fields are those of the OCI image configuration."""

    reference: str
    platform: Platform
    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""

    def configuration(self, layer_sha256: str) -> bytes:
        """The image configuration for one layer, whose SHA-256 (hex, of the tar) is `layer_sha256`."""
        config: dict[str, object] = {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "Labels": dict(self.labels),
        }
        if self.entrypoint:
            config["Entrypoint"] = list(self.entrypoint)
        if self.command:
            config["Cmd"] = list(self.command)
        if self.stop_signal:
            config["StopSignal"] = self.stop_signal
        document = {
            "architecture": self.platform.arch,
            "os": self.platform.system,
            "created": _EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sha256}"]},
            "history": [{"created": _EPOCH, "created_by": "kubeproof"}],
        }
        return json.dumps(document).encode()


def pack_tree(tree: Path, layer: Path) -> None:
    """Write the files below `tree` to the tar `layer`, with their owners, modes and attributes.

    Raises:
        InfraFault: tar failed, for want of room most likely.
    """
    command = ["tar", "--create", "--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    run_tool([*command, "--file", str(layer), "--directory", str(tree), "."])


def write_image(image: Image, layer: Path, stream: IO[bytes]) -> None:
    """Write the archive of `image`, whose one layer is the tar `layer`."""
    with layer.open("rb") as source:
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    configuration = image.configuration(sha256)
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image.reference], "Layers": [f"{sha256}/layer.tar"]}]
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_CHUNK_BYTES) as tar:
        _add(tar, "manifest.json", io.BytesIO(json.dumps(manifest).encode()))
        _add(tar, name, io.BytesIO(configuration))
        with layer.open("rb") as source:
            _add(tar, f"{sha256}/layer.tar", source)


def compressed(file: Path) -> AbstractContextManager[IO[bytes]]:
    """A stream whose bytes end up in `file`, compressed with zstd.

    Raises:
        InfraFault: zstd is missing or fails.
    """
    problem = InfraFault(f"zstd cannot write {file}", fix="make room there")
    return _zstd(["-q", "-T0", "-3", "-f", "-o", str(file)], problem, stdin=subprocess.PIPE)


def decompressed(file: Path) -> AbstractContextManager[IO[bytes]]:
    """The bytes of `file` as they were before `compressed`.

    Raises:
        InfraFault: zstd is missing, or the file is damaged.
    """
    problem = InfraFault(f"{file} is damaged", fix="remove it")
    return _zstd(["-q", "-d", "-c", str(file)], problem, stdout=subprocess.PIPE)


def run_tool(command: list[str], *, timeout_s: float = 600.0) -> str:
    """Run a program of the system; gives what it printed, and raises as `printed_by`."""
    return printed_by(command, command[0], timeout_s=timeout_s)


@contextmanager
def _zstd(
    arguments: list[str],
    problem: InfraFault,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[IO[bytes]]:
    """Run zstd; gives the one stream that is a pipe. It raises `problem` if zstd fails."""
    if shutil.which("zstd") is None:
        raise InfraFault("zstd is not installed", fix="on Debian and Ubuntu: apt-get install zstd")
    process = spawn(["zstd", *arguments], stdin=stdin, stdout=stdout)
    pipe = process.stdin or process.stdout
    assert pipe is not None
    try:
        with pipe:
            yield pipe
        if process.wait() != 0:
            raise problem
    finally:
        kill_group(process)


def _add(tar: tarfile.TarFile, name: str, stream: IO[bytes]) -> None:
    header = tarfile.TarInfo(name)
    header.size = stream.seek(0, io.SEEK_END)
    header.mode = 0o644
    stream.seek(0)
    tar.addfile(header, stream)
