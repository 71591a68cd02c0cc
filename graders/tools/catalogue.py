"""What a program is: whose, in which version, from which Go package, from which release; and sets of them.

A toolset stands in the room that needs it, beside a folder with the go.mod and go.sum that build it; a lab's
stands in the lab. Programs of one toolset are built in one go, and share the packages that they compile.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from graders.faults import CourseError
from graders.tools.platforms import Platform
from graders.tools.toolchain import TOOLCHAIN_LOCK


@dataclass(frozen=True)
class Release:
    """Where a project publishes a program, and its checksum.

    `url`, `sums` and `member` are templates: {program}, {version}, {bare} (the version without its v),
    {system}, {arch}, and the servers {kubernetes}, {github} and {github_api}.
    """

    url: str
    sums: str = ""
    """A list of checksums: `sha256sum` lines, a bare sum, or GitHub's listing of a release."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Checksums of `url` in hex by platform (`linux-amd64`): pinned ones go before published ones."""
    member: str = ""
    """Where the download is a tar archive: the member that is the program."""


@dataclass(frozen=True)
class Project:
    """What programs are a part of: its name, its Go module, the version of that."""

    name: str
    module: str
    version: str


@dataclass(frozen=True)
class Program:
    """One executable: `package` is the path of its Go package below the project's module."""

    name: str
    project: Project
    package: str = ""
    release: Release | None = None

    @property
    def import_path(self) -> str:
        """The Go package that it is built from."""
        return f"{self.project.module}/{self.package}".rstrip("/")

    @property
    def built_as(self) -> str:
        """What `go build -o FOLDER/` calls it: a major version is no name."""
        *_, parent, last = self.import_path.split("/")
        return parent if last.startswith("v") and last[1:].isdecimal() else last


@dataclass(frozen=True)
class Toolset:
    """Programs that are built and kept together, from the Go module in `folder`.

    `title` is what messages call them all. `variables` are string variables of packages that the linker sets,
    `tags` are build tags.

    Raises:
        CourseError: two programs would be built into one file.
    """

    name: str
    title: str
    folder: Path
    programs: tuple[Program, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    sums_alone: bool = False
    """Kept by versions and go.sum alone, as caches have it that were filled before there were toolsets."""

    def __post_init__(self) -> None:
        files = [program.built_as for program in self.programs]
        if twice := sorted({file for file in files if files.count(file) > 1}):
            raise CourseError(
                f"{self.title}: two programs would be built as {twice[0]!r}",
                file=self.folder / "go.mod",
                fix="put them into two toolsets",
            )

    def __getitem__(self, name: str) -> Program:
        """The program of that name."""
        return next(program for program in self.programs if program.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """What its programs are called."""
        return tuple(program.name for program in self.programs)

    @property
    def versions(self) -> dict[str, str]:
        """The version of each project."""
        return {program.project.name: program.project.version for program in self.programs}

    def key(self, target: Platform) -> str:
        """Names all that the programs for `target` are made from."""
        if self.sums_alone:
            sums = hashlib.sha256((self.folder / "go.sum").read_bytes()).hexdigest()[:12]
            versions = (f"{name}-{version}" for name, version in self.versions.items())
            return "-".join([*versions, str(target), sums])
        return f"{self.name}-{target}-{self._digest}"

    @cached_property
    def _digest(self) -> str:
        programs = [(each.name, each.import_path, each.project.version) for each in self.programs]
        digest = hashlib.sha256(repr((programs, sorted(self.variables.items()), self.tags)).encode())
        digest.update(TOOLCHAIN_LOCK.read_bytes())
        for file in sorted(self.folder.rglob("*")):
            if file.name in ("go.mod", "go.sum") or (file.suffix == ".go" and "_test." not in file.name):
                digest.update(f"\0{file.relative_to(self.folder)}\0".encode() + file.read_bytes())
        return digest.hexdigest()[:12]
