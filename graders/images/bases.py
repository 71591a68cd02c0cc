"""The images that learners' may start from, and what a submission needs beyond what they hold."""

from collections.abc import Callable, Iterable
from pathlib import Path

from graders.clusters.binaries import machine_platform
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages.baseimages import GO, PYTHON, all_bases, have_base
from graders.images.additions import add_modules, add_packages
from graders.images.buildsession import Bases
from graders.progress import Progress
from graders.sandbox.gomodules import fetch_modules
from graders.sandbox.goruntime import GoRuntime

TRAINING = PYTHON.reference
"""What the grader's own jobs run in."""


def offered() -> tuple[str, ...]:
    """The names that a Dockerfile may have after FROM, beside `scratch`."""
    return tuple(base.reference for base in all_bases())


def have_bases(host: str, names: Iterable[str], progress: Progress) -> None:
    """Have those bases in the engine at `host`.

    Raises:
        InfraFault: one cannot be had.
    """
    engine, wanted = Engine(host), frozenset(names)
    for base in all_bases():
        if base.reference in wanted:
            have_base(engine, base, machine_platform(), progress)


def bases_for(
    root: Path, names: Iterable[str], go: Callable[[], GoRuntime], scratch: Path, progress: Progress
) -> Bases:
    """The bases `names` with what the submission at `root` needs in them; `scratch` is a new folder.

    `go` gives the runtime to fetch Go modules with.

    Raises:
        BadSubmission: what it needs cannot be had. InfraFault: it cannot be fetched.
    """
    additions = {}
    wanted = frozenset(names)
    scratch.mkdir()
    if PYTHON.reference in wanted and add_packages(root, scratch / "python", progress):
        additions[PYTHON.reference] = scratch / "python"
    if GO.reference in wanted and (root / "go.mod").is_file():
        runtime, modules = go(), scratch / "modules"
        fetch_modules(runtime, root, modules, progress)
        if add_modules(runtime, modules, scratch / "go"):
            additions[GO.reference] = scratch / "go"
    return Bases({name: name for name in wanted}, additions)
