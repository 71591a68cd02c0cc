"""The files a lab's author writes beside the rubric: `lab.yaml`, and a solution's `expected.yaml`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from graders.documents import Document, Strict, load_document, misfit, parse
from graders.faults import CourseError
from graders.labsettings import LabLimits
from graders.model import Capability

MIB = 1024 * 1024


@dataclass(frozen=True)
class Expected:
    """A solution made from a reference: `loses` are exactly the criteria it must lose, `why` says by what.

    One that loses nothing is sound, only unlike the references; any other is flawed. `loses_with` are those
    that it loses only where a cluster can show something. What it keeps says as much as what it loses if it
    is `whole`: it is never graded for its flaw alone. The solution is the reference called `base` without the
    folders in `remove`, and then changed by the `change.patch` of `folder`, if there is one.
    """

    name: str
    why: str
    loses: tuple[str, ...]
    remove: tuple[PurePosixPath, ...]
    folder: Path
    base: str = "reference"
    loses_with: Mapping[Capability, tuple[str, ...]] = field(default_factory=dict)
    whole: bool = False

    @property
    def everything(self) -> tuple[str, ...]:
        """All that it loses anywhere."""
        return self.losses(self.loses_with)

    def losses(self, capabilities: Iterable[str]) -> tuple[str, ...]:
        """What it must lose on a cluster that has these capabilities."""
        able = frozenset(capabilities)
        more = (name for capability, names in self.loses_with.items() if capability in able for name in names)
        return tuple(dict.fromkeys((*self.loses, *more)))


def load_expected(path: Path, *, sound: bool = False) -> Expected:
    """Read the `expected.yaml` of a flawed solution, or of a sound one.

    Raises:
        CourseError: it is not one; says file, line and fix.
    """
    return read_expected(load_document(path, error=CourseError), path.parent, sound=sound)


def read_expected(document: Document, folder: Path, *, sound: bool = False) -> Expected:
    """What the `expected.yaml` says that was read from `folder`.

    Raises:
        CourseError: it is not one; says file, line and fix.
    """
    file = parse(document, _ExpectedFile)
    where = ("loses",) if ("loses",) in document.lines else ()
    if sound and (file.loses or file.loses_with or not where):
        raise document.refusal(
            "it is among the sound, and does not say that it loses nothing",
            where,
            fix="write `loses: []`, or move its folder to flawed/",
        )
    if not sound and not file.loses and not file.loses_with:
        fix = "name in `loses` what it must lose on any cluster, or move its folder to sound/"
        raise document.refusal("it loses nothing", where, fix=fix)
    return Expected(
        name=folder.name,
        why=file.why,
        loses=tuple(file.loses),
        remove=tuple(PurePosixPath(name) for name in file.remove),
        folder=folder,
        base=file.base,
        loses_with={capability: tuple(names) for capability, names in file.loses_with.items()},
        whole=file.whole or sound,
    )


def _inside(value: object) -> object:
    path = PurePosixPath(value) if isinstance(value, str) else PurePosixPath("..")
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise misfit(
            f"{value!r} is no path inside the solution", "write it from the solution's root, without .."
        )
    return value


def _capability(value: object) -> Capability:
    try:
        return Capability(str(value))
    except ValueError:
        raise misfit(f"{value!r} is no capability", f"use one of {', '.join(Capability)}") from None


def _distinct(value: object) -> object:
    if isinstance(value, list) and len(value) != len({str(item) for item in value}):
        raise misfit("it names something twice", "name each once")
    return value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Need = Annotated[Capability, BeforeValidator(_capability)]


class _Limits(Strict):
    of: Text
    memory_mib: Count
    cpu_s: Seconds
    pids: Count
    tmp_mib: Count
    file_mib: Count
    log_mib: Count
    wall_s: Seconds

    def as_limits(self) -> LabLimits:
        return LabLimits(
            memory_bytes=self.memory_mib * MIB,
            cpu_s=self.cpu_s,
            pids=self.pids,
            tmp_bytes=self.tmp_mib * MIB,
            file_bytes=self.file_mib * MIB,
            log_bytes=self.log_mib * MIB,
            wall_s=self.wall_s,
        )


class _BothLimits(Strict):
    program: _Limits
    tools: _Limits


class _Timing(Strict):
    deadline_s: Seconds


class _Node(Strict):
    name: Text
    zone: Text
    resources: dict[str, Count] = Field(default_factory=dict)


class LabFile(Strict):
    """`lab.yaml` as it is written."""

    declared: Annotated[Literal["kubeproof/lab/v1"], Field(alias="schema")]
    id: Text
    title: Text
    needs: Annotated[list[Need], BeforeValidator(_distinct)]
    wants: Annotated[list[Need], BeforeValidator(_distinct)] = Field(default_factory=list)
    builds: bool = False
    limits: _BothLimits
    timing: _Timing
    nodes: list[_Node] = Field(default_factory=list)


class _ExpectedFile(Strict):
    declared: Annotated[Literal["kubeproof/expected/v1"], Field(alias="schema")]
    why: Text
    loses: Annotated[list[Text], BeforeValidator(_distinct)] = Field(default_factory=list)
    loses_with: dict[Need, Annotated[list[Text], Field(min_length=1), BeforeValidator(_distinct)]] = Field(
        default_factory=dict
    )
    whole: bool = False
    remove: list[Annotated[str, BeforeValidator(_inside)]] = Field(default_factory=list)
    base: Annotated[str, Field(pattern=r"^reference(-[a-z0-9]+)*$")] = "reference"
