"""Builds the grader's image by the Containerfile, also where no container registry can be reached.

    python scripts/grader_image.py build/grader.tar.zst                # then: docker load
    python scripts/grader_image.py build/grader.tar.zst --without-go   # for a course in Python alone

The engine is one that answers, or one of its own (root; `scripts/kind-needs.sh` installs it). The base is the
Containerfile's own where that can be pulled, else Debian from its packages. It takes from this machine what
package managers need behind a proxy: certificates that were added, and pip's settings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from graders.cli.progress import TerminalProgress
from graders.clusters.binaries import machine_platform
from graders.clusters.binaries.catalog import Platform
from graders.clusters.engine.dockerd import running_engine
from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages.archive import compressed
from graders.clusters.nodeimages.baseimages import Base, have_base
from graders.clusters.nodeimages.imagecache import KEY_LABEL, Built, ensure_archive, key_of
from graders.clusters.registry import VARIABLE
from graders.faults import InfraFault, KubeproofError, UsageError
from graders.paths import REPOSITORY
from graders.progress import Progress

CONTAINERFILE = REPOSITORY / "Containerfile"
COPIED = ("requirements.lock", "pyproject.toml", "README.md", "graders", "labs", "rubrics")
"""What the Containerfile copies of the checkout."""

_PROGRAMS = REPOSITORY / "build" / "programs.zip"
_PYTHON = (3, 11)
"""The base's: Debian 12's."""
_BUILT_WITHIN_S = 3600.0
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_SETTINGS = tuple(
    file for file in (*sorted(_CERTIFICATES.rglob("*.crt")), Path("/etc/pip.conf")) if file.is_file()
)


def _add_settings(tree: Path, _official: bool, _target: Platform, _progress: Progress) -> None:
    for file in _SETTINGS:
        place = tree / file.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


BASE = Base(
    name="debian",
    reference="kubeproof/debian:bookworm",
    official="debian:bookworm-slim",
    packages=("ca-certificates",),
    inputs=_SETTINGS,
    add=_add_settings,
    finish="if command -v update-ca-certificates; then update-ca-certificates; fi",
)
"""What the Containerfile starts from."""


def grader_image(engine: Engine, *, without_go: bool = False) -> Built:
    """The grader's image, as `engine` builds it of this checkout.

    Raises:
        UsageError: the base has not the Python that runs this.
    """
    if sys.version_info[:2] != _PYTHON:
        raise UsageError(
            f"the image has Python {'.'.join(map(str, _PYTHON))}, and this is {sys.version.split()[0]}",
            fix="run it with the other Python, or build the Containerfile with a BASE that has this one: "
            "a grade depends on it",
        )
    target, setup = machine_platform(), ["--without-go"] if without_go else []
    files = [file for name in COPIED for file in _files(REPOSITORY / name)]
    names = [str(file.relative_to(REPOSITORY)) for file in files]
    key = key_of([BASE.key(target), *setup, *names], [CONTAINERFILE, *files])
    reference = f"kubeproof/grader:{key}"

    def build(scratch: Path, progress: Progress) -> Path:
        have_base(engine, BASE, target, progress)
        _save_programs(setup, progress)
        with progress.task(f"building {reference} by the Containerfile"):
            engine.call(
                "build", "--network=host", f"--file={CONTAINERFILE}", f"--label={KEY_LABEL}={key}",
                f"--build-arg=BASE={BASE.reference}", f"--build-arg=SETUP={' '.join(setup)}",
                f"--tag={reference}", str(REPOSITORY), timeout_s=_BUILT_WITHIN_S,
            )  # fmt: skip
        with progress.task(f"packing {reference}"):
            return _saved(engine, reference, scratch / "image.tar.zst")

    return Built("grader", reference, key, build)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(file for file in place.rglob("*") if file.is_file() and file.parent.name != "__pycache__")


def _save_programs(setup: list[str], progress: Progress) -> None:
    """Have the archive that the Containerfile loads: what this machine has, and all of it."""
    _PROGRAMS.parent.mkdir(exist_ok=True)
    with progress.task(f"writing {_PROGRAMS.relative_to(REPOSITORY)}"):
        done = subprocess.run(
            [sys.executable, "-m", "graders", "setup", *setup, "--save", str(_PROGRAMS)],
            env={**os.environ, VARIABLE: "embedded"}, cwd=REPOSITORY,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise InfraFault(f"kubeproof setup --save: {done.stderr.strip()[-600:]}")


def _saved(engine: Engine, reference: str, file: Path) -> Path:
    with compressed(file) as stream:
        saving = subprocess.run(engine.command("save", reference), stdout=stream, check=False)
    if saving.returncode != 0:
        raise InfraFault(f"docker save {reference} ended with {saving.returncode}", fix="see what it said")
    return file


def main() -> int:
    """Write the archive of the image; ends with the exit codes of kubeproof."""
    given = argparse.ArgumentParser(description="Build the grader's image by the Containerfile.")
    given.add_argument("file", type=Path, help="where the archive goes")
    given.add_argument("--without-go", action="store_true", help="for a course in Python alone")
    options = given.parse_args()
    try:
        with TerminalProgress() as progress, running_engine(progress) as host:
            image = grader_image(Engine(host), without_go=options.without_go)
            archive = ensure_archive(image, progress)
            options.file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive, options.file)
            progress.say(f"{image.reference}: {options.file} ({options.file.stat().st_size / 1e6:.0f} MB)")
    except KubeproofError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
