"""What a submission needs and the base images lack, as files to lay over their root.

Both were asked for in the submission's own words and are fetched here, because the build has no network:
wheels of packages, only unpacked; Go modules, from the cache that the sandbox's builds use as well.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from graders.faults import InfraFault
from graders.progress import Progress
from graders.sandbox.environments import missing_packages
from graders.sandbox.fetching import fetch
from graders.sandbox.goruntime import WARM, GoRuntime, host_environment
from graders.wheels import wheels_for

_PYTHON = "usr/local/lib/python3.11"
_PACKAGES = f"{_PYTHON}/submission-packages"
_GLIBC = 36
"""Debian 12's."""

_SITES = ("site-packages", "dist-packages")
"""Where the Python of a base looks: an official image's, Debian's."""

_FIRST = (
    "import sys; sys.path.insert(next((i for i, p in enumerate(sys.path) if p.endswith('-packages')), "
    f"len(sys.path)), '/{_PACKAGES}')\n"
)
"""A line that Python runs at its start: these packages before those of the base."""

_MODULES = "go/pkg/mod/cache/download"
_PICKED_WITHIN_S = 300.0


def add_packages(root: Path, into: Path, progress: Progress) -> bool:
    """Fetch what the operator asks for and the course's environment lacks; False if that is nothing.

    Raises:
        BadSubmission: it cannot be had as wheels. InfraFault: it cannot be fetched.
    """
    wish = missing_packages(root)
    if wish is None:
        return False
    packages, scratch = into / "root" / _PACKAGES, into / "scratch"
    for folder in (packages, scratch):
        folder.mkdir(parents=True)
    fetch(wish, packages, scratch, progress, machine=wheels_for("3.11", platform.machine(), glibc=_GLIBC))
    shutil.rmtree(scratch)
    for site in _SITES:
        place = into / "root" / _PYTHON / site
        place.mkdir()
        (place / "submission.pth").write_text(_FIRST, "utf-8")
    return True


def add_modules(go: GoRuntime, modules: Path, into: Path) -> bool:
    """Sort out the modules that go.sum names and the base lacks; False if there are none.

    `modules` is the folder with which they were fetched into the cache of `go`.

    Raises:
        InfraFault: the cache does not have them.
    """
    named, there = _modules(modules / "go.sum"), _modules(WARM / "go.sum")
    if named <= there:
        return False
    picked = into / "picked"
    picked.mkdir(parents=True)
    _pick(go, modules, picked)
    target, unwanted = into / "root" / _MODULES, shutil.ignore_patterns("sumdb", "*.lock")
    shutil.copytree(picked / "cache" / "download", target, ignore=unwanted)
    shutil.rmtree(picked)
    return True


def _modules(sums: Path) -> frozenset[tuple[str, ...]]:
    """Each module and version of a go.sum, with what of it was summed."""
    if not sums.is_file():
        return frozenset()
    return frozenset(tuple(line.split()[:2]) for line in sums.read_text("utf-8", "replace").splitlines())


def _pick(go: GoRuntime, modules: Path, into: Path) -> None:
    """Have the go command take them from the shared cache, with no network."""
    variables = {
        **host_environment(go),
        "GOMODCACHE": str(into),
        "GOPROXY": f"file://{go.modules}/cache/download",
        "GOSUMDB": "off",
        "GOFLAGS": "-modcacherw",
        "GOENV": os.devnull,
    }
    try:
        done = subprocess.run(
            [str(go.go), "mod", "download"],
            cwd=modules, env=variables, capture_output=True, text=True, errors="replace",
            timeout=_PICKED_WITHIN_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraFault(f"Go modules for the image cannot be sorted out: {error}") from error
    if done.returncode != 0:
        raise InfraFault(f"Go modules for the image are not in the cache: {done.stderr.strip()[-400:]}")
