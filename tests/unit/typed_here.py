"""The command in this process, as somebody types it: sooner done than where an interpreter starts for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import graders
from graders.cli import app
from graders.paths import COURSE


def typed_here(course: Path, *arguments: str | Path) -> Result:
    """Run the command for a course with labs of its own; nothing of the course stays in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COURSE, str(course))
        patch.setenv("COLUMNS", "200")
        patch.setattr(graders, "__path__", list(graders.__path__))
        ran = CliRunner().invoke(app, list(map(str, arguments)))
    for name in [name for name in sys.modules if name.startswith("graders.essay")]:
        del sys.modules[name]
    return ran
