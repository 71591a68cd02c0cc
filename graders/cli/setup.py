"""`kubeproof setup`: has everything ready before the first grade, or carries it to another machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.clusters.binaries import CORE, ensure_binaries, machine_platform
from graders.clusters.binaries.catalog import CONTROL_PLANE
from graders.clusters.kind.binary import KIND
from graders.clusters.nodeimages.image import built_images
from graders.clusters.nodeimages.programs import node_toolsets
from graders.clusters.registry import VARIABLE
from graders.course import load_course
from graders.faults import UsageError
from graders.labneeds import LabNeeds, needs_of
from graders.sandbox.goruntime import ensure_go_runtime, kept_go, runtime_for
from graders.sandbox.runtime import ensure_runtime, kept_runtime
from graders.sandbox.staticcheck import ensure_staticcheck, kept_staticcheck
from graders.tools import ensure
from graders.tools.archive import load_archive, save_archive
from graders.tools.ensure import kept_programs
from graders.tools.kept import Kept
from graders.tools.toolchain import ensure_toolchain, kept_toolchain, toolchain_go


def setup(
    lab: Annotated[
        str | None, typer.Argument(help="A lab whose own programs are wanted as well, by slug or number.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write all that the cache has to this archive, for machines that should not build."
        ),
    ] = None,
    load: Annotated[Path | None, typer.Option(help="Take what is needed from such an archive.")] = None,
    without_go: Annotated[
        bool, typer.Option("--without-go", help="Leave out what learners' Go needs: for a course in Python.")
    ] = False,
) -> None:
    """Have the control-plane binaries and what learners' Python and Go need ready in the cache.

    With --save, programs and images for clusters of kind are carried as well where they are there; where
    `KUBEPROOF_PROVIDER` says that gradings are embedded, they are neither saved nor loaded.

    Raises:
        UsageError: an option or an archive cannot be used; the command ends with exit code 2.
        InfraFault: something cannot be fetched or built; the command ends with exit code 3.
    """
    if save is not None and load is not None:
        raise UsageError("--save and --load exclude each other", fix="run `kubeproof setup` once for each")
    machine_platform()
    needs = needs_of(load_course().find_lab(lab).id) if lab is not None else LabNeeds()
    with TerminalProgress() as progress:
        things = _things(needs, without_go)
        if load is not None:
            progress.say(f"loaded: {', '.join(load_archive(load, things, progress))}")
        binaries = ensure_binaries(progress)
        progress.say(f"binaries: Kubernetes {binaries.version} in {binaries.folder} ({binaries.source})")
        if save is not None and not kept_programs(CONTROL_PLANE, CORE).made():
            # A named folder is no source for others: its origin is not known.
            raise UsageError(
                "the cache lacks the control-plane binaries: --save writes what was downloaded or built here",
                fix="unset KUBEPROOF_BINARIES and run `kubeproof setup --save FILE` again",
            )
        runtime = ensure_runtime(progress)
        progress.say(f"learner runtime: {runtime.venv}")
        if not without_go:
            go = ensure_go_runtime(ensure_toolchain(progress), progress)
            progress.say(
                f"Go for learners: {go.builds.parent}, staticcheck {ensure_staticcheck(go, progress).folder}"
            )
        for toolset in needs.toolsets:
            tools = ensure(toolset, progress)
            progress.say(f"{toolset.title}: {tools.folder} ({tools.source})")
        for lock in needs.locks:
            progress.say(f"{kept_runtime(lock).name}: {ensure_runtime(progress, lock=lock).venv}")
        if save is not None:
            saved = save_archive(save, things, progress)
            progress.say(f"saved: {save} ({save.stat().st_size / 1e6:.0f} MB): {', '.join(saved)}")


def _things(needs: LabNeeds, without_go: bool) -> list[Kept]:
    """All that can be carried, in an order in which each finds what it stands on."""
    go, of_kind = toolchain_go(), os.environ.get(VARIABLE) != "embedded"
    return [
        kept_programs(CONTROL_PLANE, CORE),
        *(kept_programs(toolset) for toolset in (KIND, *node_toolsets()) if of_kind),
        *(kept_programs(toolset) for toolset in needs.toolsets),
        *(() if without_go else (kept_toolchain(), *kept_go(go), kept_staticcheck(runtime_for(go)))),
        kept_runtime(),
        *(kept_runtime(lock) for lock in needs.locks),
        *(image.kept for image in (built_images(machine_platform()) if of_kind else ())),
    ]
