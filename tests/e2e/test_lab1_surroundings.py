"""The reference earns its points wherever it is graded: what a caller's shell is set to costs nobody."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.command import REFERENCE, ROOT

pytestmark = pytest.mark.cluster

NAME = "Zoë 李"
PROXIES = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "NO_PROXY": "example.org",
}
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "COLUMNS": "60"}
NOWHERE = {"HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"}


def grade(shell: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Grade the reference's creates-pods from a shell that did `shell` before."""
    cache = os.environ.get("KUBEPROOF_CACHE") or Path.home() / ".cache" / "kubeproof"
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "KUBEPROOF_PROVIDER") if name in os.environ}
    command = [sys.executable, "-m", "graders", "grade", "lab1", REFERENCE, "--only", "creates-pods"]
    own = {"PYTHONPATH": str(ROOT), "KUBEPROOF_STATE": str(folder / "state"), "KUBEPROOF_CACHE": str(cache)}
    return subprocess.run(
        ["bash", "-c", f'{shell} "$@"', "sh", *command, "--out", folder / "out", "--learner", NAME],
        cwd=folder, env={**kept, **environment, **own}, capture_output=True, encoding="utf-8",
        timeout=240, check=False,
    )  # fmt: skip


def earned_all(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stdout + done.stderr
    report = json.loads((folder / "out" / "report.json").read_text("utf-8"))
    assert (report["verdict"], report["percent"]) == ("graded", 100)
    assert report["submission"]["learner_id"] == NAME


def test_umask_proxies_locale_folders_and_streams_cost_nothing(tmp_path: Path) -> None:
    lower = {name.lower(): value for name, value in PROXIES.items()}
    done = grade("umask 077; exec <&-; exec", tmp_path, {**PROXIES, **lower, **ASCII, **NOWHERE})
    earned_all(done, tmp_path)
    assert done.stdout.isascii()


def test_groups_and_default_rights_of_the_folders_above_cost_nothing(tmp_path: Path) -> None:
    """A folder of a group, whose default list takes all rights from others, and a user of odd groups."""
    entries = ((0x01, 7), (0x04, 0), (0x20, 0))
    entry = struct.Struct("<HHI")
    acl = struct.pack("<I", 2) + b"".join(entry.pack(tag, rights, 2**32 - 1) for tag, rights in entries)
    tmp_path.chmod(0o2750)
    with suppress(OSError):  # no such lists here; the rest is still worth it
        os.setxattr(tmp_path, "system.posix_acl_default", acl)
    groups = "setpriv --groups 0,54321,65533 --" if os.getuid() == 0 else ""
    disk = {"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {}
    done = grade(f"umask 027; exec {groups}", tmp_path, {**disk, "TERM": "dumb"})
    earned_all(done, tmp_path)
