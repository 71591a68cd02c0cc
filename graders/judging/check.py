"""The decorator that makes a function a check, and what it says about it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from graders.faults import CourseError
from graders.model import Capability

ATTRIBUTE = "__check__"

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

GIVEN = ("bundle", "facts")
"""What a check may take, by name: the record, and where it notes what it measured."""

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class CheckInfo:
    """What a check says about itself.

    `tracks` are the pieces of acting whose record it reads, `requires` the checks that must pass for it
    to mean anything, `needs` what a provider must be able to show.
    """

    id: str
    title: str
    tracks: tuple[str, ...]
    requires: tuple[str, ...]
    needs: frozenset[Capability]
    hint: str
    file: str
    line: int
    call: Callable[..., object] = field(repr=False, compare=False)

    @property
    def function(self) -> str:
        """The name of the function that is the check."""
        return self.call.__name__

    @property
    def takes(self) -> tuple[str, ...]:
        """What of `GIVEN` the function takes."""
        return _parameters(self.call)


@cache
def _parameters(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def check(
    id: str,
    *,
    tracks: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    needs: tuple[Capability, ...] = (),
    hint: str = "",
) -> Callable[[Function], Function]:
    """Make a function `check_*` the check `id`; the first line of its docstring is the learner's title.

    The function raises `Unmet` when the evidence does not show what it should, `InfraFault` when the
    harness failed to record it, and returns None otherwise. It may take `bundle` and `facts`.

    Args:
        id: the id that a rubric names, in kebab-case.
        tracks: tracks whose record the check reads; none means that the manifest is enough.
        requires: checks without which this one is BLOCKED.
        needs: capabilities without which this one is UNSUPPORTED.
        hint: a learner's next step, where the failure has none of its own.

    Raises:
        CourseError: the declaration is not well-formed.
    """

    def declare(function: Function) -> Function:
        code = inspect.unwrap(function).__code__
        title = (inspect.getdoc(function) or "").strip().partition("\n")[0]
        info = CheckInfo(
            id=id,
            title=title,
            tracks=tracks,
            requires=requires,
            needs=frozenset(needs if isinstance(needs, tuple) else ()),
            hint=hint,
            file=code.co_filename,
            line=code.co_firstlineno,
            call=function,
        )
        _validate(info, needs)
        setattr(function, ATTRIBUTE, info)
        return function

    return declare


def info_of(function: object) -> CheckInfo | None:
    """What `function` says as a check; None when it is not one."""
    info = getattr(function, ATTRIBUTE, None)
    return info if isinstance(info, CheckInfo) else None


def _validate(info: CheckInfo, needs: Any) -> None:
    def wrong(problem: str, fix: str) -> CourseError:
        return CourseError(problem, file=info.file, line=info.line, fix=fix)

    if not isinstance(info.id, str) or not SLUG.fullmatch(info.id):
        raise wrong(f"{info.id!r} is no id for a check", 'use kebab-case, such as "creates-pods"')
    if not info.function.startswith("check_"):
        raise wrong(
            f"check {info.id!r} is a function named {info.function}",
            f"rename it to check_{info.id.replace('-', '_')}, or it is never found",
        )
    if not info.title:
        raise wrong(
            f"check {info.id!r} has no docstring",
            "give it one; its first line is the title that learners read",
        )
    for name in info.takes:
        if name not in GIVEN:
            raise wrong(f"check {info.id!r} takes {name!r}", f"a check takes only {' and '.join(GIVEN)}")
    for name, value in (("tracks", info.tracks), ("requires", info.requires), ("needs", needs)):
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            raise wrong(
                f"{name} of check {info.id!r} is {value!r}", f'write a tuple: {name}=("one",) with its comma'
            )
    unknown = [need for need in needs if not isinstance(need, Capability)]
    if unknown:
        raise wrong(
            f"check {info.id!r} needs {unknown[0]!r}, which is no capability",
            f"use one of graders.model.Capability: {', '.join(Capability.__members__)}",
        )
