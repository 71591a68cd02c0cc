"""Has the programs of an embedded cluster: those that somebody named, else those of the toolset."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.binaries.catalog import CONTROL_PLANE, CORE, KUBERNETES, machine_platform
from graders.faults import UsageError
from graders.progress import Progress
from graders.tools import Sources, Tools, ensure, find

VARIABLE = "KUBEPROOF_BINARIES"


@dataclass(frozen=True)
class Binaries(Tools):
    """Programs of a cluster that are there; `version` is that of Kubernetes."""

    version: str


def ensure_binaries(
    progress: Progress, *, extra: tuple[str, ...] = (), sources: Sources | None = None
) -> Binaries:
    """Have the programs of an embedded cluster ready to start, and those named in `extra` (kwokctl).

    Raises:
        UsageError: this platform has no embedded clusters, or `KUBEPROOF_BINARIES` names a folder
            that lacks programs.
        InfraFault: a download does not match its published checksum, or the build fails.
    """
    programs = (*CORE, *extra)
    machine_platform()
    if named := _named(programs, progress):
        return named
    tools = ensure(CONTROL_PLANE, progress, only=programs, sources=sources)
    return Binaries(tools.folder, tools.source, KUBERNETES)


def find_binaries(*, extra: tuple[str, ...] = ()) -> Binaries | None:
    """The programs if they are named or cached already; makes nothing.

    Raises:
        UsageError: as for `ensure_binaries`.
    """
    programs = (*CORE, *extra)
    if named := _named(programs, None):
        return named
    tools = find(CONTROL_PLANE, only=programs)
    return Binaries(tools.folder, tools.source, KUBERNETES) if tools else None


def _named(programs: tuple[str, ...], progress: Progress | None) -> Binaries | None:
    """The folder of `KUBEPROOF_BINARIES`, if that is set."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    folder = Path(name).absolute()
    absent = [p for p in programs if not os.access(folder / p, os.X_OK) or not (folder / p).is_file()]
    if absent:
        raise UsageError(
            f"{VARIABLE} names {folder}, which lacks the programs {', '.join(absent)}",
            fix=f"put executable files of these names there, or unset {VARIABLE} to have them "
            "downloaded or built",
        )
    version = _version_of(folder / "kube-apiserver")
    if version != KUBERNETES and progress is not None:
        progress.say(f"{VARIABLE} holds Kubernetes {version}; the labs are made for {KUBERNETES}")
    return Binaries(folder, f"{VARIABLE}={folder}", version)


def _version_of(api_server: Path) -> str:
    try:
        run = subprocess.run([api_server, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"{VARIABLE}: {api_server} cannot be started: {error}",
            fix=f"name a folder with programs for {machine_platform()}",
        ) from error
    found = re.search(rb"Kubernetes (v[0-9][0-9A-Za-z.+-]*)", run.stdout)
    if run.returncode != 0 or found is None:
        raise UsageError(
            f"{VARIABLE}: {api_server} --version does not answer like a Kubernetes API server",
            fix=f"name a folder with Kubernetes {KUBERNETES} for {machine_platform()}",
        )
    return found.group(1).decode("ascii")
