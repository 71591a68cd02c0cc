"""Builds programs from pinned Go modules.

Go's own module and build caches are used as the user has them (`GOMODCACHE`, `GOCACHE`), so a build
that was interrupted goes on where it stopped, and toolsets share what they have in common.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from graders.progress import Progress
from graders.tools.catalogue import Toolset
from graders.tools.platforms import Platform
from graders.tools.toolchain import ensure_toolchain, run_go

_FETCHING = "go: downloading "


def build(
    toolset: Toolset,
    names: Sequence[str],
    target: Platform,
    scratch: Path,
    progress: Progress,
    *,
    go: Path | None = None,
) -> dict[str, Path]:
    """Build the programs `names` for `target` into `scratch`; gives where each is.

    `go` is a go command, None for that of the pinned toolchain.

    Raises:
        InfraFault: the toolchain or a module cannot be fetched, or the compiler fails.
    """
    go = go or ensure_toolchain(progress)
    temporary, out = scratch / "tmp", scratch / "bin"
    temporary.mkdir()
    out.mkdir()
    output, environment = temporary / "output", _environment(target, temporary)
    programs = [toolset[name] for name in names]
    packages = [program.import_path for program in programs]
    flags = ["-trimpath", "-ldflags", " ".join(("-s", "-w", *_settings(toolset)))]
    flags += ["-tags", ",".join(toolset.tags)] if toolset.tags else []
    progress.say(f"building {', '.join(names)}: up to 10 minutes on 2 cores, once for this machine")

    with progress.task("fetching Go modules") as task:
        fetched = 0

        def fetching(_: int, line: str) -> None:
            nonlocal fetched
            if line.startswith(_FETCHING):
                fetched += 1
                task.update(done=fetched, detail=line.removeprefix(_FETCHING))

        stale_ones = ["-f", "{{if .Stale}}{{.ImportPath}}{{end}}"]
        arguments = ["list", "-deps", *flags, *stale_ones, *packages]
        run_go(go, arguments, toolset.folder, environment, fetching, output=output)
    stale = len(output.read_text().split())

    title = f"building {len(names)} program{'s'[: len(names) > 1]} from Go modules"
    with progress.task(title, total=float(stale)) as task:

        def compiled(count: int, package: str) -> None:
            task.update(done=min(count, stale), detail="linking" if count >= stale else package)

        arguments = ["build", "-v", *flags, "-o", f"{out}/", *packages]
        run_go(go, arguments, toolset.folder, environment, compiled)
    return {program.name: out / program.built_as for program in programs}


def _settings(toolset: Toolset) -> list[str]:
    return [f"-X {name}={value}" for name, value in toolset.variables.items()]


def _environment(target: Platform, temporary: Path) -> dict[str, str]:
    """The user's Go settings stay (proxy, caches), but what would change the result."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOROOT", "GOEXPERIMENT"}}
    return {
        **kept,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
        "GOOS": target.system,
        "GOARCH": target.arch,
        "CGO_ENABLED": "0",
        "GOTMPDIR": str(temporary),
    }
