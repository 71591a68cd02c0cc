"""The processes of a Docker engine of ours: dockerd in namespaces of its own, and how it is set up."""

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil

from graders.clusters.engine import runtime
from graders.clusters.engine.engine import lacking_capability
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.process import spawn

SOCKET = "docker.sock"
LONGEST_SOCKET = "run/containerd/containerd-debug.sock"
"""The longest path below the folder that a socket has."""

_LOG = "dockerd.log"
_TAIL_BYTES = 1500
_CHILD_WITHIN_S = 60.0


def start_dockerd(owned: OwnedFolder, cgroup: str) -> subprocess.Popen[bytes]:
    """Start dockerd as the child of a shell that is the first process, and reaper, of its namespace."""
    folder = owned.path
    (folder / "daemon.json").write_text("{}\n", "utf-8")
    first = 'dockerd "$@" & wait "$!"'
    command = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        first,
        "sh",
    ]
    options = [
        f"--host=unix://{folder / SOCKET}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'run'}",
        f"--pidfile={folder / 'docker.pid'}",
        f"--config-file={folder / 'daemon.json'}",
        f"--cgroup-parent=/{cgroup}",
        "--group=root",
        "--storage-driver=overlay2",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--log-level=warn",
    ]
    if lacking_capability():
        options += ["--oom-score-adjust=0", *_own_runtime(folder)]
    leftovers = folder / "tmp"
    leftovers.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": os.fspath(leftovers)}
    with (folder / _LOG).open("wb") as log:
        process = spawn([*command, *options], environment=environment, stdout=log, stderr=log)
    owned.record(process.pid)
    _record_children(owned, process)
    return process


def _record_children(owned: OwnedFolder, process: subprocess.Popen[bytes]) -> None:
    """Record the first process of the namespace too: it is gone only when all others are."""

    def found() -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if children := psutil.Process(process.pid).children():
                return children
        if process.poll() is not None:
            return []
        raise NotYet("no child yet")

    for child in wait_for(found, timeout_s=_CHILD_WITHIN_S, interval_s=0.01):
        owned.record(child.pid)


def _own_runtime(folder: Path) -> list[str]:
    """Options for a runtime that leaves out the capability which this machine cannot give."""
    program = folder / "runtime"
    source = Path(runtime.__file__).read_text("utf-8").partition("\n")[2]
    program.write_text(f"#!{sys.executable} -IS\n{source}", "utf-8")
    program.chmod(stat.S_IRWXU)
    return [f"--add-runtime=narrow={program}", "--default-runtime=narrow"]


def last_words(folder: Path) -> str:
    """The end of what dockerd logged."""
    with contextlib.suppress(OSError):
        return (folder / _LOG).read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    return ""
