"""Programs that tests on other machines want beside ours: built of pinned modules, kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from graders.clusters.nodeimages.imagecache import key_of
from graders.once import one_at_a_time
from graders.paths import cache_folder
from graders.progress import Progress
from graders.tools.toolchain import ensure_toolchain, run_go

HERE = Path(__file__).parent


def kept(name: str, *inputs: Path) -> Path:
    """Where something that is made of these files is kept."""
    return cache_folder() / "scale" / f"{name}-{key_of([], inputs)}"


def program(module: str, package: str, progress: Progress, *options: str, **environment: str) -> Path:
    """The program of a Go package, of the version that the module in the folder `module` here pins."""
    name, folder = package.rpartition("/")[2], HERE / module
    file = kept(name, *sorted(folder.iterdir()))
    with one_at_a_time(file.with_suffix(".lock"), name, progress):
        if not file.is_file():
            _build(["build", *options, "-o", str(file), package], folder, environment, progress)
    return file


def _build(arguments: Sequence[str], folder: Path, more: Mapping[str, str], progress: Progress) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    ours = {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    run_go(ensure_toolchain(progress), arguments, folder, {**environment, **ours, **more}, lambda *_: None)
