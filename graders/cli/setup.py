"""`kubeproof setup`: has everything ready before the first grade, or carries it to another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.clusters.binaries import CORE, ensure_binaries, machine_platform
from graders.clusters.binaries.archive import load_archive, save_archive
from graders.clusters.binaries.build import GoModule, ensure_toolchain
from graders.clusters.binaries.ensure import store_for
from graders.clusters.binaries.store import Store
from graders.faults import UsageError
from graders.sandbox.goruntime import ensure_go_runtime
from graders.sandbox.runtime import ensure_runtime
from graders.sandbox.staticcheck import ensure_staticcheck


def setup(
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the control-plane binaries to this archive, for machines that should not build."
        ),
    ] = None,
    load: Annotated[
        Path | None, typer.Option(help="Take the control-plane binaries from such an archive.")
    ] = None,
) -> None:
    """Have the control-plane binaries and what learners' Python and Go need ready in the cache.

    Raises:
        UsageError: an option or an archive cannot be used; the command ends with exit code 2.
        InfraFault: something cannot be fetched or built; the command ends with exit code 3.
    """
    if save is not None and load is not None:
        raise UsageError("--save and --load exclude each other", fix="run `kubeproof setup` once for each")
    store = store_for(machine_platform(), GoModule())
    with TerminalProgress() as progress:
        if load is not None:
            load_archive(store, load, progress)
        binaries = ensure_binaries(progress)
        progress.say(f"binaries: Kubernetes {binaries.version} in {binaries.folder} ({binaries.source})")
        if save is not None:
            _save(store, save, progress)
        runtime = ensure_runtime(progress)
        progress.say(f"learner runtime: {runtime.venv}")
        go = ensure_go_runtime(ensure_toolchain(progress), progress)
        progress.say(
            f"Go for learners: {go.builds.parent}, staticcheck {ensure_staticcheck(go, progress).folder}"
        )


def _save(store: Store, file: Path, progress: TerminalProgress) -> None:
    """Save what the cache holds; a named folder is no source for others, its origin is not known."""
    if absent := store.missing(CORE):
        raise UsageError(
            f"the cache lacks {', '.join(absent)}: --save writes what kubeproof downloaded or built itself",
            fix="unset KUBEPROOF_BINARIES and run `kubeproof setup --save FILE` again",
        )
    save_archive(store, file, progress)
    progress.say(f"saved: {file} ({file.stat().st_size / 1e6:.0f} MB)")
