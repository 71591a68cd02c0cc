"""Options of `kubeproof grade` that one lab has, beside those that every lab has."""

import functools
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

import typer

from graders.course import load_course
from graders.definition import LabDefinition, LabOption, lab_package
from graders.faults import KubeproofError, UsageError

GIVEN = "lab_options"
"""The parameter of a command that takes the labs' options, by name."""


def with_lab_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of all labs of the course, each told with the labs that have it."""
    options = _options_of_course()
    names = {option.name.replace("-", "_"): option.name for option, _ in options}

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        own = {name: given.pop(key) for key, name in names.items()}
        command(**given, **{GIVEN: {name: value for name, value in own.items() if value is not None}})

    hints = {
        **typing.get_type_hints(command, include_extras=True),
        **{option.name.replace("-", "_"): _annotation(option, labs) for option, labs in options},
    }
    parameters = [p for p in inspect.signature(command).parameters.values() if p.name != GIVEN]
    parameters = [p.replace(annotation=hints[p.name]) for p in parameters]
    for name in names:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=None, annotation=hints[name]))
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = {name: hint for name, hint in hints.items() if name != GIVEN}
    return whole


def check_lab_options(definition: LabDefinition, given: Mapping[str, int], checks: Collection[str]) -> None:
    """See that what was given is the lab's, and goes with the checks that were asked for alone.

    Raises:
        UsageError: it is not, or does not.
    """
    mine = {option.name: option for option in definition.options}
    for name in given:
        if name not in mine:
            raise UsageError(f"this lab has no option --{name}", fix="leave it out")
        needed = mine[name].with_check
        if needed and needed not in checks:
            raise UsageError(
                f"--{name} {given[name]} goes with the check {needed} alone", fix=f"add --only {needed}"
            )


def _options_of_course() -> list[tuple[LabOption, list[str]]]:
    """Each option once, with the labs that have it; none without a course, which `grade` will tell."""
    found: dict[str, tuple[LabOption, list[str]]] = {}
    try:
        for slug in load_course().slugs:
            for option in lab_package(slug).definition.options:
                found.setdefault(option.name, (option, []))[1].append(slug)
    except KubeproofError:
        return []
    return list(found.values())


def _annotation(option: LabOption, labs: Sequence[str]) -> Any:
    told = f"{', '.join(labs)} alone: {option.help}"
    return Annotated[
        int | None, typer.Option(f"--{option.name}", min=option.least, metavar=option.metavar, help=told)
    ]
