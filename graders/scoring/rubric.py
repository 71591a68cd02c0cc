"""Rubrics: every point of a lab in one strict YAML file.

A rubric states what each group is worth and what all are worth, and its criteria have to add up to
that: a weight that is changed without its counterweight is refused.
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from graders.documents import Location, Strict, load_document, misfit, parse
from graders.faults import CourseError
from graders.model import Criterion, Rubric

SCHEMA = "kubeproof/rubric/v1"
SMALLEST = Decimal("0.01")

SLUG = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"


def _points(value: object) -> Decimal:
    # A float is taken as it was written: 2.5 is meant, not its neighbour in binary.
    written = "" if isinstance(value, bool) else str(value).strip()
    try:
        points = Decimal(written)
        if points.is_finite() and points >= 0 and points == points.quantize(SMALLEST):
            return points
    except InvalidOperation:
        pass
    raise misfit(
        f"{value!r} is no number of points", "write a number from 0 up with at most two decimal places"
    )


Points = Annotated[Decimal, BeforeValidator(_points)]
Slug = Annotated[str, Field(pattern=SLUG)]
Text = Annotated[str, Field(min_length=1)]


class _Group(Strict):
    title: Text
    points: Points


class _Criterion(Strict):
    id: Slug
    title: Text
    group: Slug
    points: Points
    checks: Annotated[list[Slug], Field(min_length=1)] | None = None
    visibility: Literal["visible", "hidden"] = "visible"
    planned: bool = False
    unsupported_to: str = ""


class _RubricFile(Strict):
    declared: Annotated[Literal["kubeproof/rubric/v1"], Field(alias="schema")]
    lab: Slug
    version: Text
    total: Points
    groups: dict[Slug, _Group]
    criteria: Annotated[list[_Criterion], Field(min_length=1)]


def load_rubric(path: Path) -> Rubric:
    """Read a rubric.

    A criterion that names no checks has the one check of its own id.

    Raises:
        CourseError: the file is not a rubric, or its points, groups and ids contradict each other; says
            file, line and fix.
    """
    document = load_document(path, error=CourseError)
    file = parse(document, _RubricFile)
    for problem, location, fix in _contradictions(file):
        raise document.refusal(problem, location, fix=fix)
    return Rubric(
        lab=file.lab,
        version=file.version,
        criteria=tuple(
            Criterion(
                id=one.id,
                title=one.title,
                group=one.group,
                points=one.points,
                checks=tuple(one.checks or [one.id]),
                visibility=one.visibility,
                planned=one.planned,
                unsupported_to=one.unsupported_to,
            )
            for one in file.criteria
        ),
        groups={name: group.title for name, group in file.groups.items()},
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _contradictions(file: _RubricFile) -> Iterator[tuple[str, Location, str]]:
    """What is wrong with a rubric as a whole: problem, where, fix."""
    first: dict[str, int] = {}
    for place, one in enumerate(file.criteria):
        here: tuple[Any, ...] = ("criteria", place)
        if one.id in first:
            yield f"criterion {one.id!r} is there twice", (*here, "id"), "rename or remove one of the two"
        first.setdefault(one.id, place)
        known = ", ".join(file.groups)
        if one.group not in file.groups:
            fix = f"use one of {known}, or add it to groups"
            yield f"there is no group {one.group!r}", (*here, "group"), fix
        others = {each.id for each in file.criteria if each is not one}
        if one.unsupported_to and one.unsupported_to not in {*file.groups, *others}:
            problem = f"there is no group and no other criterion {one.unsupported_to!r}"
            yield problem, (*here, "unsupported_to"), f"use one of {known}, or the id of a criterion"
        for at, name in enumerate(one.checks or ()):
            if name in (one.checks or ())[:at]:
                yield f"check {name!r} is there twice", (*here, "checks", at), "name it once"
    for name, stated in file.groups.items():
        points = [one.points for one in file.criteria if one.group == name]
        if sum(points) != stated.points:
            yield (
                f"the criteria of group {name!r} add up to {sum(points)} points, not to {stated.points}",
                ("groups", name, "points"),
                f"change their points, or state {sum(points)} here",
            )
    total = sum(group.points for group in file.groups.values())
    if total != file.total:
        yield (
            f"the groups add up to {total} points, not to {file.total}",
            ("total",),
            f"change the groups, or state {total} here",
        )
