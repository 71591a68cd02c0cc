"""The Go toolchain, modules and build cache that learners' operators are built with.

All three are read-only in every sandbox, at the paths they have outside: Go's cache keys name the folders of
module sources. A build writes into a cache of its own that begins as a layer of links over the shared one
(`golayer`), so no learner can change what another one's build, or a later one of their own, finds. Flags that
would miss all of it, and make no other program, are left out of a build (`goflags`).

The shared cache is filled once, from the pinned modules of `gowarm` and never from a submission. Submissions
only ever add modules, which the Go checksum database and go.sum vouch for.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.paths import cache_folder
from graders.progress import Progress
from graders.sandbox.protocol import Mount, View
from graders.tools.kept import Kept
from graders.tools.toolchain import run_go, telling

LAYER = Path(__file__).with_name("golayer.py")
FLAGS = Path(__file__).with_name("goflags.py")
WARM = Path(__file__).with_name("gowarm")

_WARMING: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("compiling common Go packages", "0", ("build", "-v", "-o", os.devnull, ".")),
    # Not with -v: whatever changes the output of vet is part of its cache keys.
    ("vetting them", "0", ("vet", ".")),
    ("compiling them for the race detector", "1", ("test", "-v", "-race", "-vet=off", "-run", "^$", ".")),
)
"""What is told, CGO_ENABLED and arguments of each run of the go command that fills the cache."""


def compiled_already() -> tuple[tuple[str, str], ...]:
    """The modules that submissions find compiled, as `gowarm` asks for them: path and version."""
    asked, _, _ = (WARM / "go.mod").read_text("utf-8").partition("// indirect")
    return tuple(re.findall(r"^\t(\S+) (v\S+)$", asked, re.MULTILINE))


@dataclass(frozen=True)
class GoRuntime:
    """A complete Go environment: `root` is GOROOT, `modules` GOMODCACHE, `builds` the shared GOCACHE."""

    root: Path
    modules: Path
    builds: Path

    @property
    def go(self) -> Path:
        """The go command."""
        return self.root / "bin" / "go"

    @property
    def version(self) -> str:
        """Its version as Go spells it, such as go1.27.3."""
        return (self.root / "VERSION").read_text("utf-8").split()[0]

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What a sandbox needs in its view to build."""
        return tuple(Mount(str(folder), folder) for folder in (self.root, self.modules, self.builds))

    def environment(self, view: View, venv: Path, *, cgo: bool = False) -> dict[str, str]:
        """The variables of a build: nothing is fetched, nothing of go.mod is changed."""
        return {
            "PATH": f"{self.root}/bin:{venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "GOCACHE": self.private(view),
            "GOMODCACHE": str(self.modules),
            "GOPATH": f"{view.home}/go",
            "GOPROXY": "off",
            # go.sum is held against the modules all the same; the database cannot be asked from here.
            "GOSUMDB": "off",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOENV": "off",
            "GOTELEMETRY": "off",
            "CGO_ENABLED": "1" if cgo else "0",
        }

    def private(self, view: View) -> str:
        """Where a sandbox has its own build cache."""
        return f"{view.home}/go-build"


def ensure_go_runtime(go: Path, progress: Progress) -> GoRuntime:
    """Have modules and a warm build cache for the toolchain whose command is `go`; made once, resumable.

    Raises:
        InfraFault: a module cannot be fetched, or something does not compile.
    """
    runtime, (_, builds) = runtime_for(go), kept_go(go)

    def warm() -> None:
        progress.say("warming the Go build cache: about 10 minutes on 2 cores, once for this machine")
        _warm(runtime, progress)

    builds.ensure(warm, progress)
    return runtime


def kept_go(go: Path) -> tuple[Kept, Kept]:
    """The modules, and the build cache, which names the folders of their sources."""
    runtime, key = runtime_for(go), _key()
    root, mark = runtime.builds.parent, f"complete-{key}.json"
    lock = root.with_suffix(".lock")
    modules = Kept("Go modules", key, root, ("modules",), "modules/cache/download", lock)
    key = f"{root.name}-{key}"
    return modules, Kept("Go build cache", key, root, ("builds", mark), mark, lock, resumes=True, bound=True)


def runtime_for(go: Path) -> GoRuntime:
    """Where modules and caches for the toolchain whose command is `go` are, once they are there."""
    root = go.resolve().parent.parent
    # One folder for a toolchain, so that a change of what is warmed costs no more than what is new.
    name = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    folder = cache_folder().resolve() / "go" / name
    return GoRuntime(root, folder / "modules", folder / "builds")


def _key() -> str:
    """What the cache is warm for."""
    parts = [repr(_WARMING), *(path.read_text("utf-8") for path in sorted(WARM.iterdir()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _warm(runtime: GoRuntime, progress: Progress) -> None:
    runtime.modules.mkdir(parents=True, exist_ok=True)
    runtime.builds.mkdir(exist_ok=True)
    for title, cgo, arguments in _WARMING:
        if cgo == "1" and shutil.which("cc") is None:
            continue  # without a C compiler there is no race detector either
        variables = {**host_environment(runtime), "CGO_ENABLED": cgo}
        with progress.task(title) as task:
            run_go(runtime.go, arguments, WARM, variables, telling(task))


def host_environment(runtime: GoRuntime) -> Mapping[str, str]:
    """Variables for go commands outside the sandbox.

    The user's Go settings stay (proxy, checksum database, private modules) but for what would run programs
    that a go.mod names, or read outside its folder.
    """
    dropped = {"GOROOT", "GOEXPERIMENT", "GOFLAGS", "GOPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        "GOMODCACHE": str(runtime.modules),
        "GOCACHE": str(runtime.builds),
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOVCS": "*:off",
        "GOWORK": "off",
        "GOTELEMETRY": "off",
    }
