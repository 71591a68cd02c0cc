"""Has the programs, wherever they come from: the order of search in one place."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graders.clusters.binaries.build import GoModule, build
from graders.clusters.binaries.catalog import (
    CORE,
    KIND_COMMAND,
    KIND_PACKAGES,
    KUBERNETES,
    Platform,
    cache_key,
    machine_platform,
)
from graders.clusters.binaries.release import Origin, Releases, UnavailableError, fetch
from graders.clusters.binaries.store import Binaries, Store
from graders.faults import InfraFault, UsageError
from graders.once import one_at_a_time, scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress

VARIABLE = "KUBEPROOF_BINARIES"

KIND_MODULE = GoModule(KIND_COMMAND, KIND_PACKAGES, {})


@dataclass(frozen=True)
class Sources:
    """Where programs come from that are neither named nor cached."""

    releases: Releases = field(default_factory=Releases)
    module: GoModule = field(default_factory=GoModule)
    kind_module: GoModule = KIND_MODULE


def ensure_binaries(
    progress: Progress, *, extra: tuple[str, ...] = (), sources: Sources | None = None
) -> Binaries:
    """Have the programs of an embedded cluster ready to start, and those named in `extra` (kwokctl).

    Downloads and builds happen once for all processes and never leave a half-made program behind.

    Raises:
        UsageError: this platform has no embedded clusters, or `KUBEPROOF_BINARIES` names a folder
            that lacks programs.
        InfraFault: a download does not match its published checksum, or the build fails.
    """
    programs = (*CORE, *extra)
    target = machine_platform()
    if named := _named(programs, progress):
        return named
    sources = sources or Sources()
    store = store_for(target, sources.module)
    if store.missing(programs):
        wanted = Wanted("control-plane binaries", programs, sources.module)
        obtain(store, wanted, sources.releases.origins(target), progress)
    return store.binaries()


def find_binaries(*, extra: tuple[str, ...] = ()) -> Binaries | None:
    """The programs if they are named or cached already; makes nothing.

    Raises:
        UsageError: as for `ensure_binaries`.
    """
    programs = (*CORE, *extra)
    if named := _named(programs, None):
        return named
    store = store_for(machine_platform(), GoModule())
    return None if store.missing(programs) else store.binaries()


def store_for(target: Platform, module: GoModule) -> Store:
    """The cache's store for one platform and one set of modules."""
    return Store(cache_folder() / "binaries" / cache_key(target, module.folder), target)


@dataclass(frozen=True)
class Wanted:
    """Programs to have, what they are called together, and the module that builds them."""

    title: str
    programs: tuple[str, ...]
    module: GoModule


def obtain(store: Store, wanted: Wanted, origins: Sequence[Origin], progress: Progress) -> None:
    """Put what is missing into the store, once for all processes.

    Raises:
        InfraFault: there is no room, a download is not what was published, or the build fails.
    """
    try:
        with one_at_a_time(store.lock, wanted.title, progress):
            _fetch_or_build(store, wanted, origins, progress)
    except OSError as error:
        raise InfraFault(
            f"the {wanted.title} cannot be put into {store.folder}: {error}",
            fix="make room there (2 GB), or set KUBEPROOF_CACHE to a folder that can be written",
        ) from error


def _fetch_or_build(store: Store, wanted: Wanted, origins: Sequence[Origin], progress: Progress) -> None:
    missing = store.missing(wanted.programs)
    if not missing:
        return
    with scratch_folder(store.folder) as scratch:
        for origin in origins:
            released = [program for program in missing if program in origin.programs]
            try:
                for program in released:
                    store.adopt(program, fetch(origin, program, scratch, progress), "release")
            except UnavailableError as unavailable:
                progress.say(f"no release download of {', '.join(released)}: {unavailable}")
        if rest := store.missing(wanted.programs):
            for program, file in build(wanted.module, rest, store.platform, scratch, progress).items():
                store.adopt(program, file, "build")


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
    return Binaries(folder, version, f"{VARIABLE}={folder}")


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
