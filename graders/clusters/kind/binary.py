"""The program kind: found on PATH, else had like the control plane's programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from graders.clusters.binaries.catalog import (
    KIND,
    KIND_COMMAND,
    KIND_PACKAGES,
    KIND_VERSIONS,
    Platform,
    cache_key,
    machine_platform,
)
from graders.clusters.binaries.ensure import Sources, Wanted, obtain
from graders.clusters.binaries.store import Store
from graders.paths import cache_folder
from graders.progress import Progress

_VERSION = re.compile(r"^kind (v\d+\.\d+)\.\d+\b")
_ANSWERS_WITHIN_S = 20.0


def ensure_kind(progress: Progress, *, sources: Sources | None = None) -> Path:
    """Have kind ready to start; returns where it is.

    One on PATH counts if its minor version is the pinned one, for node images are made for one. The rest of
    the order is that of `graders.clusters.binaries`.

    Raises:
        UsageError: this platform has no clusters of kind.
        InfraFault: a download is not what was published, or the build fails.
    """
    target = machine_platform()
    if (found := find_kind(target)) is not None:
        return found
    store = _store(target)
    sources = sources or Sources()
    wanted = Wanted("kind", tuple(KIND_PACKAGES), sources.kind_module)
    obtain(store, wanted, (sources.releases.kind(target),), progress)
    return store.folder / "kind"


def find_kind(target: Platform | None = None) -> Path | None:
    """The program kind if it is on PATH or cached already; makes nothing.

    Raises:
        UsageError: this platform has no clusters of kind.
    """
    store = _store(target or machine_platform())
    if on_path := shutil.which("kind"):
        found = Path(on_path).absolute()
        if _minor(found) == KIND.rpartition(".")[0]:
            return found
    return None if store.missing(KIND_PACKAGES) else store.folder / "kind"


def _minor(program: Path) -> str:
    """The version of a kind without its patch level, such as v0.33; empty if it does not say."""
    try:
        run = subprocess.run(
            [program, "version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWERS_WITHIN_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.match(run.stdout)
    return found[1] if found else ""


def _store(target: Platform) -> Store:
    key = cache_key(target, KIND_COMMAND, KIND_VERSIONS)
    return Store(cache_folder() / "binaries" / key, target, KIND_VERSIONS)
