"""A PostgreSQL server of Debian's for tests: of its own user, on a unix socket only, and gone with them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from graders.polling import NotYet, wait_for

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "timezone": "Pacific/Chatham",
}


class Server:
    """A running server, with one database."""

    def __init__(self, programs: Path, folder: Path, user: dict[str, Any]) -> None:
        self._programs = programs
        self._user = user
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder, *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user)
        wait_for(self._answers, timeout_s=60)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends it and every connection; SIGQUIT as if the power had failed."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)

    def url(self) -> str:
        """A database with nothing in it: always the same, emptied, for that is sooner had than another."""
        self.run("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        return self._url("postgres")

    def run(self, statement: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def _url(self, database: str) -> str:
        return f"postgresql://grader@/{database}?host={quote(str(self.folder), safe='')}"

    def _answers(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "log").read_text())
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError as error:
            raise NotYet(str(error)) from error


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """A server for as long as the block runs; a machine without the programs skips the test."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    programs = found[-1].parent if found else Path(str(on_path)).parent
    # It refuses to run as root.
    nobody = pwd.getpwnam("nobody")
    user: dict[str, Any] = {}
    if os.getuid() == 0:
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    # A socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="kubeproof-pg-", dir="/tmp"))
    try:
        if user:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        make = [programs / "initdb", "-D", folder / "data", "-U", "grader", "-A", "trust", "-E", "UTF8"]
        subprocess.run(
            [*make, "--locale=C", "--no-sync", "--no-instructions"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **user,
        )
        server = Server(programs, folder, user)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
