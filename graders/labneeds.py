"""What a lab needs of a machine beside what every lab does: programs, environments, packages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.definition import lab_package
from graders.faults import CourseError
from graders.tools import Toolset

SYSTEM_PACKAGES = "system-packages.txt"
"""In the folder of a lab's package: a line `PROGRAM:PACKAGE` for each, of Debian's."""


@dataclass(frozen=True)
class LabNeeds:
    """Programs of the lab's own, and lock files of its Python environments."""

    toolsets: tuple[Toolset, ...] = ()
    locks: tuple[Path, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    """What the system has to have: each a program, and the package of Debian's that has it."""


def needs_of(slug: str) -> LabNeeds:
    """The needs of a lab.

    Raises:
        UsageError: there is no such lab. CourseError: its definition names what is not there.
    """
    package = lab_package(slug)
    toolsets, locks = (
        tuple(package.load(part)) if getattr(package.definition, part) else ()
        for part in ("tools", "runtimes")
    )
    return LabNeeds(toolsets, locks, tuple(_packages(package.folder / SYSTEM_PACKAGES)))


def _packages(file: Path) -> Iterator[tuple[str, str]]:
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        program, apart, name = line.partition(":")
        if not (program and apart and name):
            raise CourseError(f"{line!r} is no need", file=file, line=number, fix="write PROGRAM:PACKAGE")
        yield program, name
