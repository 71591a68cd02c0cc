"""The pinned Python environment that learners' operators and their tests run in.

A virtual environment in the cache, bound read-only into every sandbox at the same path. It holds what
`learner-requirements.txt` pins and nothing of kubeproof. A virtual environment cannot be moved, so it is
made where it stays; the stamp that is written last says that it is complete.
"""

import contextlib
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress
from graders.tools.kept import Kept
from graders.wheels import install_wheels

LOCK = Path(__file__).with_name("learner-requirements.txt")
_VENV_TIMEOUT_S = 120

TYPE_CACHE = "share/mypy-cache"
"""A folder of the venv: mypy's cache of the libraries' types, made once so that no grading pays for it."""

_TYPED = "import aiohttp, kopf, kubernetes, kubernetes_asyncio, prometheus_client, pydantic, pytest, yaml\n"


@dataclass(frozen=True)
class Runtime:
    """A complete learner environment.

    `base` is the prefix of the Python installation that `venv` stands on: both must be visible, at these
    very paths, wherever `python` is started.
    """

    venv: Path
    python: Path
    base: Path
    lock_sha256: str
    beneath: Path | None = None
    """The course's environment, where this is a submission's own that stands on it."""

    @property
    def course(self) -> Path:
        """The environment that holds nothing of a learner's choosing."""
        return self.beneath or self.venv


def ensure_runtime(progress: Progress, *, lock: Path = LOCK) -> Runtime:
    """Have the environment that `lock` pins in the cache; made once for all processes, never needs root.

    Raises:
        InfraFault: Python cannot make virtual environments here, or a wheel cannot be fetched.
    """
    runtime = _runtime_for(lock)
    kept_runtime(lock).ensure(lambda: _make(runtime, lock, progress), progress)
    return runtime


def kept_runtime(lock: Path = LOCK) -> Kept:
    """Such an environment, which names its own place and stands on the Python that is there."""
    runtime = _runtime_for(lock)
    root, name = runtime.venv.parent, runtime.venv.name
    key = f"{name}-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
    return Kept(_title(lock), key, root, (name,), bound=True, begin=lambda to: make_venv(to / name))


def _title(lock: Path) -> str:
    """What is told of it: `learner-requirements.txt` makes the learner runtime."""
    return f"{lock.stem.removesuffix('-requirements')} runtime"


def _runtime_for(lock: Path) -> Runtime:
    lock_sha256 = hashlib.sha256(lock.read_bytes()).hexdigest()
    base = Path(sys.base_prefix).resolve()
    key = hashlib.sha256(f"{lock_sha256} {base} {sys.version} {_TYPED}".encode()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    venv = cache_folder().resolve() / "runtimes" / f"python-{version}-{key}"
    return Runtime(venv, venv / "bin" / "python", base, lock_sha256)


def _make(runtime: Runtime, lock: Path, progress: Progress) -> None:
    make_venv(runtime.venv)
    title = f"installing the {_title(lock)} (Python {sys.version_info.major}.{sys.version_info.minor})"
    install_wheels(lock, title, progress, interpreter=runtime.python)
    _warm_types(runtime)


def _warm_types(runtime: Runtime) -> None:
    """Have mypy read the libraries once, as `mypy --strict` will; without it gradings are only slower."""
    with scratch_folder(runtime.venv) as folder:
        (folder / "typed.py").write_text(_TYPED, encoding="utf-8")
        (folder / "mypy.ini").write_text("[mypy]\nstrict = True\nignore_missing_imports = True\n", "utf-8")
        cache = folder / "cache"
        command = [str(runtime.python), "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(cache)]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([*command, "typed.py"], cwd=folder, capture_output=True, timeout=300, check=False)
        if cache.is_dir():
            target = runtime.venv / TYPE_CACHE
            target.parent.mkdir(parents=True, exist_ok=True)
            cache.replace(target)


def make_venv(folder: Path) -> None:
    """Make an environment without pip, on the installation below this process's own environment.

    Raises:
        InfraFault: Python cannot make one here.
    """
    python = getattr(sys, "_base_executable", None) or sys.executable
    command = [python, "-I", "-m", "venv", "--without-pip", str(folder)]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_VENV_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraFault(f"{python} cannot make a virtual environment: {error}", fix=_VENV_FIX) from error
    if run.returncode != 0:
        said = (run.stderr or run.stdout).strip()[-400:]
        raise InfraFault(f"{python} cannot make a virtual environment: {said}", fix=_VENV_FIX)


_VENV_FIX = "on Debian and Ubuntu install python3-venv; make sure that the cache folder has room (1 GB)"
