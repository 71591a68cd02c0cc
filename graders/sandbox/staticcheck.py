"""staticcheck, built from its pinned Go module, with what it knows about common packages.

It reads every dependency once and keeps the facts in a cache shaped like Go's own, so the two are shared in
the same way: read-only, under a private layer of links.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.once import one_at_a_time, write_atomically
from graders.progress import Progress
from graders.sandbox.goruntime import WARM, GoRuntime, host_environment
from graders.sandbox.protocol import Mount

MODULE = Path(__file__).with_name("gochecker")
_COMMAND = "honnef.co/go/tools/cmd/staticcheck"
_STAMP = "complete.json"
_BUILD_S = 1800.0


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
    stamp = made.folder / _STAMP
    if stamp.is_file():
        return made
    with one_at_a_time(made.folder.with_suffix(".lock"), "staticcheck", progress):
        if not stamp.is_file():
            made.facts.mkdir(parents=True, exist_ok=True)
            with progress.task("building staticcheck from its Go module"):
                _run(go, [str(go.go), "build", "-trimpath", "-o", str(made.program), _COMMAND], MODULE)
            with progress.task("having staticcheck read common packages"):
                _run(go, [str(made.program), "."], WARM, {"STATICCHECK_CACHE": str(made.facts)})
            write_atomically(stamp, json.dumps({"schema": "kubeproof/staticcheck/v1"}) + "\n")
    return made


def find_staticcheck(go: GoRuntime) -> Staticcheck | None:
    """What was made for `go`, if it is there already; makes nothing."""
    made = _made_for(go)
    return made if (made.folder / _STAMP).is_file() else None


def _made_for(go: GoRuntime) -> Staticcheck:
    pins = "\0".join(path.read_text("utf-8") for path in sorted(MODULE.iterdir()))
    key = hashlib.sha256(pins.encode()).hexdigest()[:12]
    return Staticcheck(go.builds.parent / f"staticcheck-{key}")


def _run(go: GoRuntime, command: list[str], folder: Path, more: dict[str, str] | None = None) -> None:
    environment = {**host_environment(go), "CGO_ENABLED": "0", **(more or {})}
    environment["PATH"] = f"{go.root}/bin:{environment.get('PATH', '')}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraFault(f"staticcheck cannot be made: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise InfraFault(
            f"staticcheck cannot be made: {said}",
            fix="check that this machine reaches a Go module proxy (Go's own settings are used)",
        )
