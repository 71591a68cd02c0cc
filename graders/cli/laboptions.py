"""Options of `kubeproof grade` that one lab has, read from what is left of a command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import click

from graders.definition import LabDefinition, LabOption
from graders.faults import UsageError


def lab_options(
    definition: LabDefinition, arguments: Sequence[str], checks: Collection[str]
) -> Mapping[str, int]:
    """The lab's own options among `arguments`, by name; `checks` are those that were asked for alone.

    Raises:
        UsageError: one is not the lab's, is no number that it takes, or lacks the check it goes with.
    """
    parser = click.Command("grade", params=[_as_click(option) for option in definition.options])
    try:
        with parser.make_context("grade", list(arguments)) as context:
            given: dict[str, int] = {k: v for k, v in context.params.items() if v is not None}
    except click.UsageError as error:
        raise UsageError(error.format_message(), fix=_what_there_is(definition.options)) from error
    for option in definition.options:
        if option.name in given and option.with_check and option.with_check not in checks:
            raise UsageError(
                f"--{option.name} goes with the check {option.with_check} alone",
                fix=f"add --only {option.with_check}",
            )
    return given


def _as_click(option: LabOption) -> click.Option:
    return click.Option(
        [f"--{option.name}"], type=click.IntRange(min=option.least), metavar=option.metavar, help=option.help
    )


def _what_there_is(options: Sequence[LabOption]) -> str:
    told = "; ".join(f"--{each.name} {each.metavar}: {each.help}" for each in options)
    return (
        f"this lab has {told}" if told else "this lab has no options of its own; see `kubeproof grade --help`"
    )
