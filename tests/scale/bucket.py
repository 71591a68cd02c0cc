"""A bucket of a real S3 server on loopback, and the client that a batch needs for it.

The server keeps objects in a folder. It is Versity's gateway, built of its pinned Go module.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import httpx
import pytest
from packaging.utils import canonicalize_name

from graders.distributions import pinned
from graders.once import one_at_a_time, scratch_folder
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for
from graders.ports import held_ports
from graders.progress import Progress
from graders.wheels import install_wheels
from tests.scale.pinned import kept, program

LOCK = REPOSITORY / "graders" / "batch" / "s3-requirements.txt"
BUCKET = "class"
_ANSWERS_WITHIN_S = 60.0
_ALONE = ("-trimpath", "-ldflags", "-s -w")
_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
_KEYS = {"AWS_ACCESS_KEY_ID": "grader", "AWS_SECRET_ACCESS_KEY": "of-loopback-alone"}


def client(progress: Progress) -> Path:
    """The folder of what the S3 lock pins beyond ours: a grade depends on ours, and they stay as they are."""
    ours = REPOSITORY / "requirements.lock"
    folder = kept("s3-client", LOCK, ours)
    with one_at_a_time(folder.with_suffix(".lock"), "the client of S3", progress):
        if not folder.is_dir():
            with scratch_folder(folder.with_name("s3-client")) as scratch:
                lock = scratch / "more.txt"
                lock.write_text(_without(LOCK.read_text("utf-8"), set(pinned(ours))), "utf-8")
                install_wheels(lock, "fetching the client of S3", progress, target=scratch / "more")
                (scratch / "more").rename(folder)
    return folder


def _without(lock: str, names: set[str]) -> str:
    """A lock without the entries of those distributions."""
    entries = lock.replace("\\\n", "\\").splitlines()
    left = [entry for entry in entries if canonicalize_name(entry.partition("==")[0]) not in names]
    return "\n".join(left).replace("\\", "\\\n") + "\n"


@dataclass
class Bucket:
    """A bucket, and the server that has it."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A place in the bucket."""
        return f"s3://{BUCKET}/lab"

    @property
    def objects(self) -> Path:
        """Where the server keeps what lies in that place."""
        return self.folder / "buckets" / BUCKET / "lab"

    def start(self) -> None:
        """Have the server answer."""
        at = ["--port", f"127.0.0.1:{self.port}", "--quiet"]
        keys = ["--access", _KEYS["AWS_ACCESS_KEY_ID"], "--secret", _KEYS["AWS_SECRET_ACCESS_KEY"]]
        # Not every file system of a machine has extended attributes.
        where = ["posix", "--sidecar", self.folder / "attributes", self.folder / "buckets"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.program, *at, *keys, *where], stdout=log, stderr=log)
        wait_for(self._answers, timeout_s=_ANSWERS_WITHIN_S)

    def stop(self) -> None:
        """Have it gone, as if the machine had died."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        """What the server said."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def _answers(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", timeout=5)
        except httpx.TransportError as error:
            raise NotYet(str(error)) from error


@contextlib.contextmanager
def running_bucket(folder: Path, progress: Progress) -> Iterator[Bucket]:
    """A bucket for as long as the block runs; this process and those that it starts know how to reach it."""
    more, server = client(progress), program("bucketserver", _PACKAGE, progress, *_ALONE, CGO_ENABLED="0")
    for name in (f"buckets/{BUCKET}", "attributes"):
        (folder / name).mkdir(parents=True)
    with held_ports(1) as (port,), pytest.MonkeyPatch.context() as patch:
        environment = {
            **_KEYS,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            # Of nobody's files, and of no machine's own.
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(more)))),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "path", [*sys.path, str(more)])
        # A file system that an earlier test had would be had again, with its port and its keys.
        import_module("s3fs").S3FileSystem.clear_instance_cache()
        bucket = Bucket(server, folder, port)
        try:
            bucket.start()
            yield bucket
        finally:
            bucket.stop()
            shutil.rmtree(folder, ignore_errors=True)
