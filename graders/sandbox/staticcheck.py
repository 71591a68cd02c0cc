"""staticcheck, built from its pinned Go module, with what it knows about common packages.

It reads every dependency once and keeps the facts in a cache shaped like Go's own, so the two are shared in
the same way: read-only, under a private layer of links.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.progress import Progress
from graders.sandbox.goruntime import WARM, GoRuntime, host_environment
from graders.sandbox.protocol import Mount
from graders.tools.kept import Kept
from graders.tools.toolchain import run_go, telling

MODULE = Path(__file__).with_name("gochecker")
_COMMAND = "honnef.co/go/tools/cmd/staticcheck"


@dataclass(frozen=True)
class Staticcheck:
    """The program and its shared cache."""

    folder: Path

    @property
    def program(self) -> Path:
        """The executable."""
        return self.folder / "staticcheck"

    @property
    def facts(self) -> Path:
        """The shared STATICCHECK_CACHE."""
        return self.folder / "facts"

    @property
    def mount(self) -> Mount:
        """What a sandbox needs in its view."""
        return Mount(str(self.folder), self.folder)


def ensure_staticcheck(go: GoRuntime, progress: Progress) -> Staticcheck:
    """Have staticcheck beside the caches of `go`; made once.

    Raises:
        InfraFault: its module cannot be fetched, or it does not compile.
    """
    made = _made_for(go)
    environment = {**host_environment(go), "CGO_ENABLED": "0", "STATICCHECK_CACHE": str(made.facts)}
    environment["PATH"] = f"{go.root}/bin:{environment.get('PATH', '')}"

    def run(title: str, program: Path, arguments: Sequence[str], folder: Path) -> None:
        with progress.task(title) as task:
            run_go(program, arguments, folder, environment, telling(task))

    def make() -> None:
        made.facts.mkdir(parents=True, exist_ok=True)
        build = ["build", "-trimpath", "-o", str(made.program), _COMMAND]
        run("building staticcheck from its Go module", go.go, build, MODULE)
        run("having staticcheck read common packages", made.program, ["."], WARM)

    kept_staticcheck(go).ensure(make, progress)
    return made


def kept_staticcheck(go: GoRuntime) -> Kept:
    """It and its facts, which name the folders of the sources."""
    folder = _made_for(go).folder
    return Kept(
        "staticcheck", f"{folder.parent.name}-{folder.name}", folder.parent, (folder.name,), bound=True
    )


def _made_for(go: GoRuntime) -> Staticcheck:
    pins = "\0".join(path.read_text("utf-8") for path in sorted(MODULE.iterdir()))
    key = hashlib.sha256(pins.encode()).hexdigest()[:12]
    return Staticcheck(go.builds.parent / f"staticcheck-{key}")
