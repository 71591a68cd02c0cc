"""Has the programs of a toolset, wherever they come from: the order of search in one place."""

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress
from graders.tools.build import build
from graders.tools.catalogue import Toolset
from graders.tools.kept import Kept
from graders.tools.platforms import machine_platform
from graders.tools.release import Servers, UnavailableError, fetch
from graders.tools.store import Store, Tools


@dataclass(frozen=True)
class Sources:
    """Where programs come from that are not cached: servers, and a go command (None: the pinned one)."""

    servers: Servers = field(default_factory=Servers)
    go: Path | None = None


def ensure(
    toolset: Toolset,
    progress: Progress,
    *,
    only: Collection[str] | None = None,
    sources: Sources | None = None,
) -> Tools:
    """Have the programs of `toolset` ready to start, or `only` those of these names.

    Downloads and builds happen once for all processes and never leave a half-made program behind.

    Raises:
        UsageError: no programs are had for this platform.
        InfraFault: there is no room, a download is not what was published, or the build fails.
    """
    store = store_of(toolset)
    names = tuple(toolset.names if only is None else only)

    def obtain() -> None:
        _fetch_or_build(toolset, names, store, sources or Sources(), progress)

    kept_programs(toolset, names).ensure(obtain, progress)
    return store.tools()


def find(toolset: Toolset, *, only: Collection[str] | None = None) -> Tools | None:
    """The programs of `toolset`, or `only` those of these names, if they are cached; makes nothing.

    Raises:
        UsageError: no programs are had for this platform.
    """
    store = store_of(toolset)
    return None if store.missing(toolset.names if only is None else only) else store.tools()


def store_of(toolset: Toolset) -> Store:
    """The place of a toolset in the cache."""
    target = machine_platform()
    return Store(cache_folder() / "binaries" / toolset.key(target), target, toolset.versions)


def kept_programs(toolset: Toolset, needed: Collection[str] | None = None) -> Kept:
    """The programs of a toolset in the cache; complete with those in `needed`, by default with all."""
    store = store_of(toolset)
    root, key = store.folder.parent, store.folder.name
    names = toolset.names if needed is None else tuple(needed)
    return _Programs(toolset.title, key, root, (key,), resumes=True, store=store, needed=names)


@dataclass(frozen=True, kw_only=True)
class _Programs(Kept):
    store: Store
    needed: tuple[str, ...]

    def made(self) -> bool:
        return not self.store.missing(self.needed)

    def verify(self) -> None:
        self.store.verify()


def _fetch_or_build(
    toolset: Toolset, names: tuple[str, ...], store: Store, sources: Sources, progress: Progress
) -> None:
    released = [toolset[name] for name in store.missing(names) if toolset[name].release is not None]
    with scratch_folder(store.folder) as scratch:
        for _, group in groupby(released, lambda program: program.project):
            programs = list(group)
            try:
                for program in programs:
                    file = fetch(program, store.platform, sources.servers, scratch, progress)
                    store.adopt(program.name, file, "release")
            except UnavailableError as unavailable:
                said = ", ".join(program.name for program in programs)
                progress.say(f"no release download of {said}: {unavailable}")
        if rest := store.missing(names):
            built = build(toolset, rest, store.platform, scratch, progress, go=sources.go)
            for name, file in built.items():
                store.adopt(name, file, "build")
