"""Builds what a release has: a wheel, the source, the locks, and SHA256SUMS over all of them.

`release.py check TAG` sees that a tag names this version; `release.py build` writes dist/ anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"


def version() -> str:
    """The version in pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def check(tag: str) -> None:
    """See that `tag` is the tag of this version.

    Raises:
        SystemExit: it is not.
    """
    if tag != f"v{version()}":
        raise SystemExit(
            f"the tag is {tag}, and pyproject.toml says version {version()}\n"
            f"  fix: set the version, commit it, and tag that commit v{version()}"
        )


def build() -> None:
    """Write dist/ anew."""
    from setuptools import build_meta  # noqa: PLC0415 - `check` needs nothing but a Python

    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    os.chdir(ROOT)
    os.environ["SOURCE_DATE_EPOCH"] = _commits_time()
    for make in (build_meta.build_wheel, build_meta.build_sdist):
        make(str(DIST))
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    shutil.copyfile(ROOT / "requirements.lock", DIST / "requirements.lock")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(DIST.iterdir())
    ]
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def _commits_time() -> str:
    ask = ["git", "log", "-1", "--format=%ct"]
    said = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    # A zip file knows no time before 1980.
    return said or "315532800"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check", tag]:
            check(tag)
        case ["build"]:
            build()
        case _:
            raise SystemExit("usage: release.py check TAG | release.py build")
