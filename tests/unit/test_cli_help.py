"""What `--help` says of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from graders.cli import COMMANDS, app


def test_brackets_of_a_default_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    printed = CliRunner().invoke(app, ["batch", "--help"]).output
    assert "[default: results, beside the store]" in printed


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_is_for(name: str) -> None:
    from typer.main import get_command

    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined,arg-type]
    silent = [
        p.name for each in (command, *_below(command)) for p in each.params if not getattr(p, "help", "")
    ]
    assert [name for name in silent if name != "help"] == []


def _below(command: Any) -> Iterator[Any]:
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from _below(each)
