"""The program kind: found on PATH, else had like the control plane's programs."""

import re
import shutil
from pathlib import Path

from graders.faults import InfraFault
from graders.process import printed_by
from graders.progress import Progress
from graders.tools import Program, Project, Release, Sources, Toolset, ensure, find

VERSION = "v0.33.0"
_PROGRAM = "{github}/kubernetes-sigs/kind/releases/download/{version}/kind-{system}-{arch}"
KIND = Toolset(
    "kind",
    "kind",
    Path(__file__).resolve().parent.parent / "kindcommand",
    (
        Program(
            "kind",
            Project("kind", "sigs.k8s.io/kind", VERSION),
            release=Release(_PROGRAM, f"{_PROGRAM}.sha256sum"),
        ),
    ),
    sums_alone=True,
)

_SAYS = re.compile(r"^kind (v\d+\.\d+)\.\d+\b")
_ANSWERS_WITHIN_S = 20.0


def ensure_kind(progress: Progress, *, sources: Sources | None = None) -> Path:
    """Have kind ready to start; returns where it is.

    One on PATH counts if its minor version is the pinned one, for node images are made for one.

    Raises:
        UsageError: this platform has no clusters of kind.
        InfraFault: a download is not what was published, or the build fails.
    """
    return find_kind() or ensure(KIND, progress, sources=sources).path("kind")


def find_kind() -> Path | None:
    """The program kind if it is on PATH or cached already; makes nothing.

    Raises:
        UsageError: this platform has no clusters of kind.
    """
    cached = find(KIND)
    if on_path := shutil.which("kind"):
        found = Path(on_path).absolute()
        if _minor(found) == VERSION.rpartition(".")[0]:
            return found
    return cached.path("kind") if cached else None


def _minor(program: Path) -> str:
    """The version of a kind without its patch level, such as v0.33; empty if it does not say."""
    try:
        found = _SAYS.match(printed_by([program, "version"], "kind version", timeout_s=_ANSWERS_WITHIN_S))
    except (OSError, InfraFault):
        return ""
    return found[1] if found else ""
