"""What base images have on top of an operating system: Python packages, or Go with its caches filled."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from graders.clusters.binaries.build import TOOLCHAIN_LOCK, ensure_toolchain
from graders.clusters.binaries.catalog import Platform
from graders.clusters.nodeimages.archive import run_tool
from graders.faults import InfraFault
from graders.progress import Progress
from graders.wheels import run_pip

_LEARNERS = Path(__file__).resolve().parent.parent.parent / "sandbox"
PYTHON_LOCK = _LEARNERS / "learner-requirements.txt"
_WARM = _LEARNERS / "gowarm"
GO_INPUTS = (TOOLCHAIN_LOCK, *sorted(_WARM.iterdir()))

_PYTHON = "3.11"
_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64"}
_NEWEST_GLIBC, _OLDEST_GLIBC = 36, 5
"""The minor version of Debian's C library, and the oldest that wheels are made for."""

_FETCH_WITHIN_S = 900.0
_NAMES: Mapping[str, str] = {"python": "python3", "python3": "python3", "pip": "pip3", "pip3": "pip3"}
"""What Debian's programs are called in official images."""

_UNWANTED = ("test", "doc", "api", "misc")
"""Folders of a Go toolchain that no build reads."""


def add_python(tree: Path, official: bool, target: Platform, progress: Progress) -> None:
    """Put the learner environment into `tree`, where the Python of the image looks for it.

    Raises:
        InfraFault: a wheel cannot be fetched, or one does not match its hash.
    """
    packages = tree / f"usr/local/lib/python{_PYTHON}" / ("site-packages" if official else "dist-packages")
    machine = _MACHINES[target.arch]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    run = run_pip(
        [
            "install", "--only-binary", ":all:", "--no-input", "--progress-bar", "off", "--no-compile",
            "--no-deps", "--require-hashes", "-r", str(PYTHON_LOCK), "--target", str(packages),
            "--implementation", "cp", "--python-version", _PYTHON,
            *(word for name in platforms for word in ("--platform", name)),
        ],
        "fetching Python packages for learners' images",
        progress,
    )  # fmt: skip
    if run.status != 0:
        raise InfraFault(
            "Python packages for learners' images cannot be had:\n    " + "\n    ".join(run.lines[-6:]),
            fix="check that this machine reaches a Python package index (pip's own settings are used)",
        )
    programs = tree / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for script in sorted((packages / "bin").iterdir()):
        _adopt_script(script, programs / script.name)
    shutil.rmtree(packages / "bin")
    if not official:
        for name, program in _NAMES.items():
            (programs / name).unlink(missing_ok=True)
            (programs / name).symlink_to(f"/usr/bin/{program}")
        (tree / f"usr/lib/python{_PYTHON}/EXTERNALLY-MANAGED").unlink(missing_ok=True)


def add_go(tree: Path, _official: bool, target: Platform, progress: Progress) -> None:
    """Put the Go toolchain and modules into `tree`, and in /go/warm what fills the build cache.

    Raises:
        InfraFault: the toolchain or a module cannot be fetched.
    """
    go = ensure_toolchain(progress)
    goroot = tree / "usr/local/go"
    shutil.copytree(go.parent.parent, goroot, symlinks=True, ignore=_unwanted)
    warm, modules = tree / "go/warm", tree / "go/pkg/mod"
    shutil.copytree(_WARM, warm)
    modules.mkdir(parents=True)
    variables = {
        "GOMODCACHE": str(modules),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOARCH": target.arch,
        "CGO_ENABLED": "0",
    }
    with progress.task("fetching Go modules for learners' images"):
        settings = [f"{name}={value}" for name, value in variables.items()]
        where = ["env", f"--chdir={warm}", *settings]
        run_tool([*where, str(go), "list", "-deps", "-test", "./..."], timeout_s=_FETCH_WITHIN_S)
        # Their archives stay: `go mod download` in a learner's Dockerfile asks for them.
        run_tool([*where, str(go), "mod", "download"], timeout_s=_FETCH_WITHIN_S)


def _adopt_script(script: Path, place: Path) -> None:
    """Move a console script of this machine's Python to where the image's finds itself."""
    content = script.read_bytes()
    first, newline, rest = content.partition(b"\n")
    if first.startswith(b"#!"):
        content = b"#!/usr/local/bin/python" + newline + rest
    place.write_bytes(content)
    place.chmod(0o755)


def _unwanted(folder: str, names: list[str]) -> set[str]:
    return set(names) & set(_UNWANTED) if (Path(folder) / "VERSION").is_file() else set()
