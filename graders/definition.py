"""What a lab is to kubeproof: one `LAB` in `graders/<slug>/__init__.py`, found by the lab's slug.

It names the lab's parts and imports none of them: whoever judges must not load what records.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import graders
from graders.faults import CourseError, UsageError

ATTRIBUTE = "LAB"


@dataclass(frozen=True)
class LabOption:
    """An option of `kubeproof grade` that one lab has, a whole number of at least `least`.

    It may be given only together with `--only` and the check `with_check`, where one is named.
    """

    name: str
    help: str
    metavar: str = "N"
    least: int = 1
    with_check: str = ""


@dataclass(frozen=True)
class LabDefinition:
    """The parts of a lab, each as `module` or `module:attribute` in the lab's own package.

    `scenario` acts (`graders.scenario.spec.Scenario`), `block` is the model of the lab's part of
    submission.yaml, `checks` the package of its checks. `panels` is a function from a bundle to what the
    report shows beside the table, `tools` are the programs of the lab's own (`graders.tools.Toolset`), and
    `runtimes` the lock files of Python environments, which `kubeproof setup LAB` has ready; `drills` is the
    module of what `kubeproof drill` writes down. `cluster` is a function from a name and nodes to the
    `ClusterSpec` of `kubeproof cluster up --lab`, where that is more than a cluster of the lab's nodes.
    """

    scenario: str = "scenario"
    block: str = "block:Block"
    checks: str = "checks"
    panels: str = ""
    tools: str = ""
    runtimes: str = ""
    cluster: str = ""
    drills: str = ""
    options: tuple[LabOption, ...] = ()


@dataclass(frozen=True)
class LabPackage:
    """A lab's package and its definition."""

    slug: str
    definition: LabDefinition
    folder: Path

    def load(self, part: str) -> Any:
        """The module or object that a part of the definition names.

        Raises:
            CourseError: there is none, or it cannot be imported.
        """
        named = str(getattr(self.definition, part))
        module, _, attribute = named.partition(":")
        try:
            found: Any = import_module(f"{_package(self.slug)}.{module}")
            return getattr(found, attribute) if attribute else found
        except (ImportError, AttributeError) as error:
            raise CourseError(
                f"the {part} of lab {self.slug!r}, {named!r}, cannot be had: {error}",
                file=Path(f"graders/{self.slug}/__init__.py"),
                fix=f"name a module of graders/{self.slug} in {part}=, or module:attribute",
            ) from error

    def module(self, part: str) -> str:
        """The full name of the module that a part of the definition is in."""
        return f"{_package(self.slug)}.{getattr(self.definition, part).partition(':')[0]}"


def lab_package(slug: str) -> LabPackage:
    """The package of a lab.

    Raises:
        UsageError: there is none. CourseError: it defines no lab.
    """
    try:
        package = import_module(_package(slug))
    except ModuleNotFoundError as error:
        if error.name != _package(slug):
            raise
        raise UsageError(f"{slug!r} is no lab: there is no package graders/{slug}") from error
    found = getattr(package, ATTRIBUTE, None)
    if not isinstance(found, LabDefinition):
        raise CourseError(
            f"the package of lab {slug!r} defines no lab",
            file=Path(f"graders/{slug}/__init__.py"),
            fix=f"write {ATTRIBUTE} = LabDefinition(…) in it",
        )
    return LabPackage(slug, found, Path(str(package.__file__)).parent)


def make_importable(course: Path) -> None:
    """Let the labs of another course be imported like those of this one: as packages of `graders`."""
    folder = str(course.resolve() / "graders")
    if folder not in graders.__path__ and Path(folder).is_dir():
        graders.__path__.append(folder)


def folder_of(module: str) -> Path:
    """The folder of a package of a lab's.

    Raises:
        CourseError: there is no such package.
    """
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or not found.submodule_search_locations:
        place = "/".join(module.split("."))
        raise CourseError(
            "there is no such folder of checks", file=Path(place), fix="create it, with __init__.py"
        )
    return Path(next(iter(found.submodule_search_locations)))


def _package(slug: str) -> str:
    return f"{graders.__name__}.{slug}"
